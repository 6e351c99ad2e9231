"""The state of the latest run in a file, for `medgrid status`: a logger plugin, which `medgrid run` registers."""

import json
import logging
import os
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from medgrid.utils.files import atomic_write

FILE = Path(".snakemake/medgrid-status.json")
# The hash that ends the name of a file
HASH = re.compile(r"(^|-)[0-9a-f]{12}$")
# Snakemake's message on a job that succeeded without writing an output: it reports no error of the job itself
MISSING_OUTPUT = re.compile(r"^Job (\d+) +completed successfully, but some output files are missing", re.M)


def describe_job(rule: str, wildcards: dict[str, str]) -> str:
    """A job in words, such as `train STUDY vgg16`, from its rule and the names in its paths."""
    words = list(dict.fromkeys(HASH.sub("", word.removesuffix(".pth")) for word in wildcards.values()))
    # the name of an archive repeats that of its data set
    words = [word for word in words if word and not any(other != word and other.startswith(word) for other in words)]
    return " ".join([rule, *words])


def format_seconds(seconds: float) -> str:
    """Such as 1:02:03."""
    return str(timedelta(seconds=int(seconds)))


@dataclass
class JobState:
    """A job that a run has started; times in seconds since 1970."""

    rule: str
    wildcards: dict[str, str]
    logs: list[str]
    started: float
    ended: float | None = None
    status: Literal["running", "finished", "failed"] = "running"

    @property
    def label(self) -> str:
        return describe_job(self.rule, self.wildcards)

    @property
    def seconds(self) -> float:
        """How long the job has run, until now or until its end."""
        return (self.ended or time.time()) - self.started

    @property
    def elapsed(self) -> str:
        return format_seconds(self.seconds)


def started_job(record: Any) -> JobState:
    """From Snakemake's event that a job has started."""
    logs = [str(log) for log in record.log or ()]
    return JobState(record.rule_name, dict(record.wildcards or {}), logs, time.time())


@dataclass
class RunState:
    """A run: how it was started, how many jobs of each rule it has (`total` for all), and those that have started."""

    pid: int = 0
    profile: str = ""
    configfiles: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    local: bool = True  # False: an executor plugin such as SLURM's runs the jobs
    started: float = 0.0
    ended: float | None = None  # None: it is active, or was killed
    interrupted: bool = False
    planned: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, JobState] = field(default_factory=dict)  # by Snakemake's number

    def with_status(self, status: str) -> list[JobState]:
        return [job for job in self.jobs.values() if job.status == status]

    def write(self) -> None:
        with atomic_write(FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_run_state() -> RunState | None:
    """The latest run in this folder; None before there was one, or when its file is damaged."""
    try:
        content = json.loads(FILE.read_text(encoding="utf-8"))
        jobs = {number: JobState(**job) for number, job in content.pop("jobs").items()}
        return RunState(**content, jobs=jobs)
    except FileNotFoundError:
        return None
    except (AttributeError, KeyError, TypeError, ValueError):
        print(f"medgrid: {FILE} is damaged; the next run writes it again", file=sys.stderr)
        return None


# how the run was started; `medgrid run` fills it in before Snakemake creates the handler
current = RunState()


class LogHandler(LogHandlerBase):
    """Writes each change of a run to FILE; Snakemake looks for a class of this name."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True  # events arrive whatever `--quiet` hides
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._update(record):
                current.write()
        except Exception:
            self.handleError(record)

    def _update(self, record: Any) -> bool:
        """Apply an event of Snakemake to the state; returns whether it changed."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            current.pid, current.started, current.planned = os.getpid(), time.time(), dict(record.stats)
        elif event == LogEvent.JOB_INFO:
            current.jobs[str(record.jobid)] = started_job(record)
        elif event == LogEvent.JOB_FINISHED:
            self._end(record.job_id, "finished")
        elif event == LogEvent.JOB_ERROR:
            self._end(record.jobid, "failed")
        elif event in (None, LogEvent.ERROR):
            return self._read(record.getMessage())
        else:
            return False
        return True

    def _read(self, message: str) -> bool:
        """Apply a log message that has no event; returns whether the state changed."""
        if message.startswith("Terminating processes"):
            current.interrupted = True
            return True
        missing = MISSING_OUTPUT.search(message)
        if missing:
            self._end(missing[1], "failed")
        return missing is not None

    def _end(self, number: int | str, status: Literal["finished", "failed"]) -> None:
        job = current.jobs.get(str(number))
        if job and not (current.interrupted and status == "failed"):  # Ctrl-C ends every job
            job.status, job.ended = status, time.time()

    def close(self) -> None:
        """Note the end of the run. Snakemake calls this when everything has been handled."""
        if current.started and current.ended is None:
            current.ended = time.time()
            current.write()
        super().close()
