"""What is shown while Snakemake runs: a logger plugin, which `medgrid run` registers.

On a terminal, a few lines at the bottom say how many jobs are done and what each running job is doing; failures
stay above them. Without a terminal, each job that starts, finishes or fails is one line. Jobs write to their own
logs only, so nothing else is drawn. Snakemake's own log file holds the details of every job.
"""

import logging
import os
import re
import sys
import time
from datetime import timedelta
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
ROWS = 12  # running jobs that are listed at most
TAIL = 20  # lines of a failed job's log
# A progress bar of tqdm, with or without a known total, as it stands in a log
BAR = re.compile(r"[^\r\n]*?(\d+%\|[^|\r\n]*\|[^\r\n\]]*\]?|\d+\S* \[\d\d:\d\d[^\r\n\]]*\])")
# The fingerprint that ends the name of a file
FINGERPRINT = re.compile(r"(^|-)[0-9a-f]{12}$")
# What Snakemake says of a job that ended well but left an output out: it reports no error of the job itself
MISSING = re.compile(r"^Job (\d+) +completed successfully, but some output files are missing", re.M)
# Messages that the display replaces, or that only belong in the log file
HIDDEN = re.compile(
    "Assuming unrestricted|Building DAG|Using shell|Select jobs|Complete log|Elapsed time|Config file|Provided "
    "|Job .* has been submitted|Waiting at most|Removing |Touching |Trying to restart|Shutting down"
    "|Exiting because a job execution|RuleException:\nCalledProcessError|WorkflowError:\nAt least one job did not"
)


def label(rule: str, wildcards: dict[str, str]) -> str:
    """A job in words, such as `train STUDY vgg16`, from its rule and the names in its paths."""
    words = {FINGERPRINT.sub("", word.removesuffix(".pth")): None for word in wildcards.values()}
    # the name of an archive repeats that of its data set
    said = [word for word in words if word and not any(o != word and o.startswith(word) for o in words)]
    return " ".join([rule, *said])


def tail(file: str, lines: int = TAIL) -> list[str]:
    """Last lines of a log, without progress bars."""
    try:
        with Path(file).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    text = BAR.sub("", text).replace("\r", "\n")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def latest(file: str, since: float) -> str:
    """The last words of a running job's log: mostly its progress bar, here without the bar."""
    try:
        with Path(file).open("rb") as log:
            if os.fstat(log.fileno()).st_mtime < since - 1:
                return ""  # of an earlier run: on a cluster, a job waits before it starts its log
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2048))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    words = [part.strip() for part in re.split(r"[\r\n]", text) if part.strip()]
    return re.sub(r"\|[^|]*\|", "", words[-1]).removeprefix("medgrid: ") if words else ""


def span(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


class Job:
    def __init__(self, rule: str, wildcards: dict, logs: list[str]):
        self.label, self.logs, self.began = label(rule, wildcards), logs, time.time()

    @property
    def elapsed(self) -> str:
        return span(time.time() - self.began)


class LogHandler(LogHandlerBase):
    """Turns Snakemake's events into a display; Snakemake looks for a class of this name."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.running: dict[int, Job] = {}
        self.failed: dict[int, Job] = {}
        self.done = self.total = 0
        self.began = 0.0  # when the first job could start
        self.interrupted = False
        self.display = None
        if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            from medgrid.launch.terminal import Display

            self.display = Display(self)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._handle(record)
        except Exception:
            self.handleError(record)

    def _handle(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self._begin(record.stats["total"])
        elif event == LogEvent.JOB_INFO:
            self._started(record)
        elif event == LogEvent.JOB_FINISHED:
            self._finished(record.job_id)
        elif event == LogEvent.JOB_ERROR:
            self._failed(record)
        elif event in (None, LogEvent.ERROR):
            message = record.getMessage()
            self.interrupted |= message.startswith("Terminating processes")
            if (missing := MISSING.search(message)) and (job := self.running.pop(int(missing[1]), None)):
                self.failed[int(missing[1])] = job
            if not HIDDEN.match(message):
                self.say(message, STYLES.get(record.levelname, ""))

    def _begin(self, total: int) -> None:
        self.began, self.total = time.time(), total
        if self.display:
            self.display.start()
        else:
            self.say(f"{total} jobs to run")

    def _started(self, job: logging.LogRecord) -> None:
        self.failed.pop(job.jobid, None)  # it is tried again
        self.running[job.jobid] = Job(job.rule_name, job.wildcards, job.log)
        self._line("started", self.running[job.jobid].label)

    def _finished(self, number: int) -> None:
        job = self.running.pop(number)
        self.done += 1
        self._line("finished", f"{job.label} ({job.elapsed}; {self.done} of {self.total})")
        if self.display:
            self.display.print_unlogged()

    def _failed(self, error: logging.LogRecord) -> None:
        job = self.running.pop(error.jobid, None)
        if job is None or self.interrupted:  # at the end, Ctrl-C ends every job
            return
        self.failed[error.jobid] = job
        job.logs = error.log  # with SLURM's own
        self.say(f"failed: {job.label} after {job.elapsed}", "bold red")
        if error.rule_msg:
            self.say(f"  {error.rule_msg}")
        # the first log that says something: the job's own, unless it never started
        found = next(((log, lines) for log in job.logs if (lines := tail(log))), None)
        for line in found[1] if found else ():
            self.say(f"    {line}")
        if job.logs:
            self.say(f"  log: {found[0] if found else ', '.join(job.logs)}")
        elif self.display:
            self.display.print_unlogged()

    def _line(self, what: str, words: str) -> None:
        """A step of a job, where no display shows it."""
        if not self.display:
            self.say(f"[{span(time.time() - self.began)}] {what} {words}")

    def say(self, text: str, style: str = "") -> None:
        """Print lines that stay."""
        if self.display:
            self.display.say(text, style)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Sum the run up. Snakemake calls this when everything has been handled."""
        began, self.began = self.began, 0.0
        if self.display:
            self.display.stop()
            self.display = None
        if began:
            self._sum_up(span(time.time() - began))
        super().close()

    def _sum_up(self, elapsed: str) -> None:
        counts = f"{self.done} of {self.total} jobs done in {elapsed}"
        failed = list(self.failed.values())
        if self.interrupted:
            self.say(f"medgrid: interrupted, {counts}; the same command continues")
        elif failed:
            left = self.total - self.done - len(failed)
            self.say(f"medgrid: {counts}, {len(failed)} failed, {left} not started:")
        else:
            self.say(f"medgrid: {counts}")
        for job in [] if self.interrupted else failed:
            self.say(f"  {job.label}: {', '.join(job.logs) or 'no log'}")
        files = [each for each in logging.getLogger("snakemake.logging").handlers if hasattr(each, "baseFilename")]
        for each in files:
            self.say(f"full log: {os.path.relpath(each.baseFilename)}")
