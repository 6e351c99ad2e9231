"""What `medgrid status` reports: finished, running, failed and remaining training jobs of each study.

It reads the settings, the folders of finished jobs, and the state file of the latest run (`launch/run_state.py`).
It does not start Snakemake, so it takes about a second and works while a run is active.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medgrid.config import Params
from medgrid.grid.layout import Layout, seeds_of
from medgrid.grid.versions import fingerprint
from medgrid.launch.logs import latest_progress
from medgrid.launch.run_state import JobState, RunState, format_seconds, read_run_state
from medgrid.utils.errors import MedgridError

LISTED = 10  # running or failed jobs; more are only counted


@dataclass(frozen=True)
class StudyStatus:
    """Numbers of training jobs of a study: `jobs` in all, of which `left` have not started or must run again."""

    study: str
    jobs: int
    done: int
    running: int
    failed: int
    left: int
    left_seconds: float | None  # planned time of all that is not done, if `medgrid plan` has measured it
    page: str  # path; empty without a page


@dataclass(frozen=True)
class Status:
    """The latest run, with the jobs of other settings left out, and the studies."""

    run: RunState | None
    active: bool
    other_settings: bool  # the run used other settings than those that were asked for
    expected_seconds: float | None  # until the active run ends; None when it is not known
    expected_from: str  # what the estimate rests on
    studies: list[StudyStatus]

    @property
    def running(self) -> list[JobState]:
        return self.run.with_status("running") if self.run and self.active and not self.other_settings else []

    @property
    def failed(self) -> list[JobState]:
        return self.run.with_status("failed") if self.run and not self.other_settings else []

    def to_dict(self) -> dict[str, Any]:
        """For scripts; times in seconds, `started` and `ended` since 1970."""
        run = asdict(self.run) | {"active": self.active} if self.run else None
        return {
            "run": run,
            "other_settings": self.other_settings,
            "expected_seconds": self.expected_seconds,
            "expected_from": self.expected_from,
            "studies": [asdict(study) for study in self.studies],
        }


def training_blocks(layout: Layout, params: Params, study: str) -> dict[Path, bool]:
    """Folder of each training job and block of seeds of a study, and whether it is finished."""
    blocks: dict[Path, bool] = {}
    for job in layout.manifests[study].all_jobs:
        folder = Path(params.results, study, "jobs", job)
        existing = {path.name for path in folder.glob("seeds-*")}
        for name in layout.blocks_of(study, job, existing):
            blocks[folder / name] = name in existing
    return blocks


def _planned_seconds(layout: Layout, params: Params, study: str) -> dict[str, float]:
    """Planned time of each training job with all its seeds; empty when `medgrid plan` has not measured the study."""
    file = Path(params.data, "plans", f"{study}-{fingerprint(layout.profiles[study].settings)}.json")
    if not file.exists():
        return {}
    return {job: cost["seconds"] for job, cost in json.loads(file.read_text(encoding="utf-8"))["jobs"].items()}


def _block_seconds(planned: dict[str, float], block: Path, replicates: int) -> float | None:
    seconds = planned.get(block.parent.name)
    return None if seconds is None else seconds * min(1, len(seeds_of(block.name)) / replicates)


def _trains(job: JobState, block: Path) -> bool:
    """Whether a job of a run trains this block of seeds."""
    names = (block.parent.parent.parent.name, block.parent.name, block.name)
    return job.rule == "train" and tuple(job.wildcards.get(name) for name in ("study", "job", "seeds")) == names


def _study_status(layout: Layout, params: Params, study: str, running: list, failed: list) -> StudyStatus:
    blocks, planned = training_blocks(layout, params, study), _planned_seconds(layout, params, study)
    unfinished = [block for block, finished in blocks.items() if not finished]
    now = [block for block in unfinished if any(_trains(job, block) for job in running)]
    faults = [block for block in unfinished if block not in now and any(_trains(job, block) for job in failed)]
    seconds = [_block_seconds(planned, block, params.studies[study].seeds) for block in unfinished]
    page = Path(params.results, "report", study, "index.html")
    return StudyStatus(
        study=study,
        jobs=len(blocks),
        done=len(blocks) - len(unfinished),
        running=len(now),
        failed=len(faults),
        left=len(unfinished) - len(now) - len(faults),
        left_seconds=None if None in seconds else sum(each or 0.0 for each in seconds),
        page=str(page) if page.exists() else "",
    )


def _studies_of_run(run: RunState, params: Params, layout: Layout) -> list[str]:
    """Studies that the targets of a run name."""
    if "studies" in run.targets:
        return list(layout.manifests)
    named = [study for study in run.targets if study in layout.manifests]
    return named or ([] if run.targets and "all" not in run.targets else list(params.run))


def estimate_end(run: RunState, planned_left: float | None) -> tuple[float | None, str]:
    """Seconds until a run on this machine ends, and the basis of the estimate.

    `planned_left`: planned seconds of its training jobs that are not done. Training dominates, so other jobs are not
    counted. The estimate is based on the rate of finished jobs. Before the first job has finished, it is based on
    the plan, divided by the number of jobs that run in parallel.
    """
    if not run.local:
        return None, "on a cluster, it depends on the queue"
    training = [job for job in run.jobs.values() if job.rule == "train"]
    finished = [job for job in training if job.status == "finished"]
    running = [job for job in training if job.status == "running"]
    left = run.planned.get("train", 0) - sum(job.status != "running" for job in training)
    if left <= 0:
        return None, "no training jobs are left in this run"
    if finished:
        elapsed = time.time() - min(job.started for job in training)
        return elapsed * left / len(finished), f"{len(finished)} finished training jobs"
    if planned_left and running:
        spent = sum(job.seconds for job in running)
        return max(0.0, planned_left - spent) / len(running), "the times that `medgrid plan` measured"
    return None, "no training job has finished yet, and `medgrid plan` has not measured these studies"


def read_status(params: Params, layout: Layout, studies: list[str], profile: str, configfiles: list[str]) -> Status:
    """Status of `studies`; `profile` and `configfiles` tell whether the latest run used the same settings."""
    from medgrid.launch.run import lock_owner

    run, owner = read_run_state(), lock_owner()
    active = run is not None and owner == run.pid and run.ended is None
    other = run is not None and not _same_settings(run, profile, configfiles)
    counted = RunState() if run is None or other else run  # the run whose jobs belong to these settings
    running = counted.with_status("running") if active else []
    failed = counted.with_status("failed")
    requested = studies or list(layout.manifests)
    in_run = _studies_of_run(counted, params, layout)
    statuses = {
        study: _study_status(layout, params, study, running, failed) for study in dict.fromkeys([*requested, *in_run])
    }
    seconds, source = None, ""
    if active and not other:
        planned = [statuses[study].left_seconds for study in in_run]
        seconds, source = estimate_end(counted, None if None in planned else sum(each or 0.0 for each in planned))
    return Status(run, active, other, seconds, source, [statuses[study] for study in requested])


def _same_settings(run: RunState, profile: str, configfiles: list[str]) -> bool:
    def name(text: str) -> str:
        return Path(text or "default").name

    if configfiles:
        return run.configfiles == configfiles
    return name(run.profile) == name(profile)


def check_studies(studies: list[str], layout: Layout) -> None:
    """Raise MedgridError for a study that the settings do not have."""
    for study in studies:
        if study not in layout.manifests:
            raise MedgridError(f"there is no study '{study}'; the studies are {', '.join(layout.manifests)}")


def print_status(status: Status) -> None:
    """Print the run, then a table of the studies, then running and failed jobs."""
    for line in [*_run_lines(status), "", *_table(status.studies)]:
        print(line)
    _print_jobs("running", status.running)
    _print_jobs("failed", status.failed)


def _run_lines(status: Status) -> list[str]:
    run = status.run
    if run is None:
        return ["No run has been recorded here; start one: medgrid run -- STUDY"]
    done, failed = len(run.with_status("finished")), len(run.with_status("failed"))
    counts = f"{done} of {run.planned.get('total', 0)} jobs done" + (f", {failed} failed" if failed else "")
    lines = [f"Latest run: {_run_state(status, run)}, {counts}"]
    if status.other_settings:
        options = f"--workflow-profile {run.profile}" if run.profile else " ".join(run.configfiles)
        lines.append(f"It uses other settings ({options or 'the default profile'}); pass them to see its studies")
    elif status.active:
        lines.append(_expected(status))
    return lines


def _run_state(status: Status, run: RunState) -> str:
    if status.active:
        return f"active for {format_seconds(time.time() - run.started)} (process {run.pid})"
    if run.ended is None:
        return "killed; run the same command again to continue"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.ended))
    return f"interrupted at {when}; run the same command again to continue" if run.interrupted else f"ended at {when}"


def _expected(status: Status) -> str:
    if status.expected_seconds is None:
        return f"Expected end: not known ({status.expected_from})"
    end = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + status.expected_seconds))
    return (
        f"Expected end: {end}, in {format_seconds(status.expected_seconds)} (estimated from {status.expected_from})"
    )


def _table(studies: list[StudyStatus]) -> list[str]:
    """Lines of the table, its columns aligned."""
    rows: list[tuple[str, ...]] = [("study", "training jobs", "done", "running", "failed", "left", "page")]
    for study in studies:
        counts = (study.jobs, study.done, study.running, study.failed, study.left)
        rows.append((study.study, *map(str, counts), study.page or "none"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *counts, page in rows:
        numbers = "  ".join(text.rjust(width) for text, width in zip(counts, widths[1:-1], strict=True))
        lines.append(f"{name.ljust(widths[0])}  {numbers}  {page}")
    return lines


def _print_jobs(title: str, jobs: list[JobState]) -> None:
    if jobs:
        print(f"\n{title}:")
    for job in jobs[:LISTED]:
        log = job.logs[0] if job.logs else ""
        detail = latest_progress(log, job.started) if job.status == "running" else log
        print(f"  {job.label}  {job.elapsed}  {detail}".rstrip())
    if len(jobs) > LISTED:
        print(f"  and {len(jobs) - LISTED} more")
