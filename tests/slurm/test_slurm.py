"""The profile `slurm` on a real SLURM of three nodes: a whole study, then everything that goes wrong."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from cluster import Cluster
from conftest import GRID, ROOT, Project

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(Cluster.missing()), reason=Cluster.missing())]

STUDY = "grid"
SEEDS = "seeds-0-1"  # of its two replicates


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    cluster.start()
    yield cluster
    cluster.stop()


SMALL = ["runtime=10*attempt", "mem_mb=1900*attempt"]


class Site(Project):
    """A project with a site's own copy of the profile: small jobs, quick looks at their state."""

    def __init__(self, folder: Path, grid: dict):
        folder.mkdir(exist_ok=True)
        super().__init__(folder, grid)
        profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
        profile |= {
            "slurm-init-seconds-before-status-checks": 1, "seconds-between-status-checks": 1, "latency-wait": 5,
            "default-resources": [*SMALL, "slurm_extra='--exclude=n3'"],  # whose power fails
            "set-resources": [f"{rule}:{each}" for rule in ("features", "train") for each in SMALL],
            "set-threads": [re.sub(r"=\d+", "=1", each) for each in profile["set-threads"]],
        }  # fmt: skip
        (folder / "workflow/profiles/site").mkdir()
        (folder / "workflow/profiles/site/config.yaml").write_text(yaml.safe_dump(profile))
        self.log = folder / "run.log"

    def start(self, *arguments: str, targets: tuple[str, ...] = (STUDY,)) -> subprocess.Popen:
        command = [sys.executable, "-m", "medgrid", "run", "--workflow-profile", "workflow/profiles/site"]
        command += ["--configfile", "tiny.yaml", *arguments, "--", *targets]
        with self.log.open("a") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)

    def finish(self, run: subprocess.Popen) -> None:
        assert run.wait(timeout=400) == 0, self.log.read_text()

    def slurm_jobs(self, cluster: Cluster, state: str = "") -> list[str]:
        """Numbers of the jobs that this project has submitted, in one state or in any."""
        runs = re.findall(r"SLURM run ID: (\S+)", self.log.read_text())
        rows = [line.split() for line in cluster.jobs("%i %T %j")]
        return [job for job, found, run in rows if run in runs and state in found]

    @property
    def jobs(self) -> dict[str, Path]:
        """Folder of each job, by the last word of its name: `lr=0.1`, or the model of heads."""
        folders = sorted((self.folder / "results" / STUDY / "jobs").iterdir())
        return {folder.name.rsplit("-", 1)[0].split("_")[-1]: folder for folder in folders}


def same(one: Path, other: Path) -> None:
    """The same numbers but for the time they took."""
    files = (one / SEEDS / "predictions.npz", other / SEEDS / "predictions.npz")
    with np.load(files[0]) as ours, np.load(files[1]) as theirs:
        assert set(ours) == set(theirs)
        for name in set(ours) - {"seconds"}:
            np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.fixture(scope="module")
def whole(cluster, tmp_path_factory) -> Site:
    """The study from its images to its page, started and going on while other fixtures are made."""
    site = Site(tmp_path_factory.mktemp("whole") / "project", GRID)
    site.started = site.start()
    return site


@pytest.fixture(scope="module")
def local(whole, tmp_path_factory) -> Site:
    """The study's trainings without SLURM, a job at a time."""
    site = Site(tmp_path_factory.mktemp("local") / "project", GRID)
    command = [sys.executable, "-m", "medgrid", "run", "--cores", "1", "--configfile", "tiny.yaml"]
    command += ["--until", "train"]
    result = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stderr
    return site


class Trouble:
    """The trained study once more, without one or two of its jobs, which are then trained again under trouble."""

    def __init__(self, cluster: Cluster, local: Site, folder: Path, missing: list[str]):
        subprocess.run(["cp", "-a", str(local.folder), str(folder)], check=True)
        self.cluster, self.local, self.missing = cluster, local, missing
        self.site = object.__new__(Site)
        self.site.folder, self.site.log = folder, folder / "run.log"
        self.site.log.touch()
        self.names = [local.jobs[name].name for name in missing]
        for name in self.names:
            shutil.rmtree(folder / "results" / STUDY / "jobs" / name)

    def start(self, *arguments: str) -> subprocess.Popen:
        targets = [f"results/{STUDY}/jobs/{name}/{SEEDS}" for name in self.names]
        return self.site.start(*arguments, targets=tuple(targets))

    def jobs(self, state: str = "") -> list[str]:
        return self.site.slurm_jobs(self.cluster, state)

    def memory(self) -> dict[str, str]:
        """What this project's jobs asked for, by the state in which they ended."""
        rows = [line.split() for line in self.cluster.jobs("%i %T %m")]
        own = self.jobs()
        return {state: memory for job, state, memory in rows if job in own}

    def training(self) -> psutil.Process:
        """Wait for the first process on SLURM that trains, past its start."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for each in psutil.process_iter(["cmdline", "cwd"]):
                trains = each.info["cwd"] == str(self.site.folder) and "train" in (each.info["cmdline"] or [])[:4]
                if trains and "python" in each.info["cmdline"][0]:
                    return each
            time.sleep(0.1)
        raise TimeoutError(self.site.log.read_text())

    def ends_well(self, run: subprocess.Popen) -> None:
        self.site.finish(run)
        for name, word in zip(self.names, self.missing, strict=True):
            same(self.site.folder / "results" / STUDY / "jobs" / name, self.local.jobs[word])


def cancelled_from_outside(case: Trouble) -> None:
    """A job that somebody cancels is submitted again."""
    run = case.start()
    case.training()
    (job,) = case.jobs("RUNNING")
    subprocess.run(["scancel", job], check=True)
    case.ends_well(run)
    assert case.jobs("CANCELLED") == [job]
    assert len(case.jobs("COMPLETED")) == 1


def out_of_memory(case: Trouble) -> None:
    """The next attempt gets more."""
    case.ends_well(case.start("--set-resources", "train:mem_mb=300*attempt**3", "train:runtime=10"))
    assert case.memory() == {"FAILED": "300M", "COMPLETED": "2400M"}


def out_of_time(case: Trouble) -> None:
    """It hangs, as on a file system that does not answer; the next attempt has more time."""
    run = case.start("--set-resources", "train:runtime=1*attempt", "train:mem_mb=1900")
    case.training().suspend()
    case.ends_well(run)
    assert len(case.jobs("TIMEOUT")) == 1
    assert len(case.jobs("COMPLETED")) == 1


def node_down(case: Trouble) -> None:
    """The job goes to another node."""
    run = case.start("--set-resources", "train:slurm_extra=''", "train:mem_mb=1900", "train:runtime=10")
    node = case.training().environ()["SLURMD_NODENAME"]
    assert node == "n3"
    (job,) = case.jobs("RUNNING")
    case.cluster.stop_node(node)
    try:
        case.ends_well(run)
    finally:
        case.cluster.start_node(node)
    assert case.jobs("NODE_FAIL") == [job]
    assert len(case.jobs("COMPLETED")) == 1


def controller_killed(case: Trouble) -> None:
    """Its jobs live on; started again, it cancels them before it submits anything, so nothing runs twice."""
    run = case.start()
    case.training()
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    left = case.jobs("RUNNING") + case.jobs("PENDING")
    assert left
    case.ends_well(case.start())
    assert "cancelling" in case.site.log.read_text()
    assert set(left) <= set(case.jobs("CANCELLED")) | set(case.jobs("COMPLETED"))
    assert len(case.jobs("COMPLETED")) == len(case.missing)


def turns_on_one_gpu(case: Trouble) -> None:
    """Short jobs in one job that asks for one GPU."""
    grouped = ["--groups", "train=jobs", "--group-components", "jobs=3", "--resources", "gpu=1"]
    case.ends_well(case.start(*grouped, "--set-resource-scopes", "gpu=local"))
    (job,) = case.jobs()
    assert case.cluster.gpus(job) == "gres:gpu:1"


CASES = {
    cancelled_from_outside: ["lr=0.1"],
    out_of_memory: ["lr=0.1"],
    out_of_time: ["lr=0.1"],
    node_down: ["lr=0.1"],
    controller_killed: ["lr=0.1", "lr=0.01"],
    turns_on_one_gpu: ["lr=0.1", "lr=0.01", "lr=0.001"],
}


@pytest.fixture(scope="module")
def ended(cluster, local, tmp_path_factory) -> dict:
    """All cases at once, since they mostly wait."""
    cases = {
        case: Trouble(cluster, local, tmp_path_factory.mktemp("trouble") / "project", missing)
        for case, missing in CASES.items()
    }
    with ThreadPoolExecutor(len(cases)) as pool:
        return {case: pool.submit(case, trouble) for case, trouble in cases.items()}


@pytest.mark.parametrize("case", CASES)
def test_trouble_ends_with_the_same_numbers(ended, case):
    ended[case].result()


def test_a_study_runs_through(whole, local):
    whole.finish(whole.started)
    assert (whole.folder / "results/report" / STUDY / "index.html").exists()
    assert list(whole.jobs) == list(local.jobs)
    for name, folder in whole.jobs.items():
        same(folder, local.jobs[name])


def test_only_networks_ask_for_a_gpu(cluster, whole):
    whole.finish(whole.started)
    submitted = whole.slurm_jobs(cluster)
    asked: dict[str, list[str]] = {}  # of each rule, as SLURM has it
    for line in cluster.jobs("%i %k"):
        job, comment = line.split(" ", 1)
        if job in submitted:
            rule = re.match("near_duplicates|[a-z]+", comment.removeprefix("rule_"))[0]
            asked.setdefault(rule, []).append(cluster.gpus(job))
    assert sorted(asked["train"]) == ["", *["gres:gpu:1"] * 3]
    assert asked["features"] == ["gres:gpu:1"]
    # the network is on the login node
    reports = ["audit", "evaluate", "explain", "figures", "leakage", "networks", "page"]
    others = [*reports, "inventory", "split", "tensors", "near_duplicates"]
    assert sorted(asked) == sorted([*others, "features", "train"])
    assert all(asked[job] == [""] for job in others)
