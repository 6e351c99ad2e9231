"""The display of a run: a logger plugin of Snakemake, which `medgrid run` registers.

On a terminal, the last lines show how many jobs are done and the progress of each running job; failures stay above
them. Without a terminal, each job that starts, finishes or fails is one line. The output of jobs goes to their own
logs. Snakemake's log file holds the details of every job.
"""

import logging
import os
import re
import sys
import time
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from medgrid.launch.logs import last_lines
from medgrid.launch.run_state import MISSING_OUTPUT, JobState, format_seconds, started_job

STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
ROWS = 12  # running jobs that are listed, at most
# Messages that the display replaces, or that only belong in the log file
HIDDEN = re.compile(
    "Assuming unrestricted|Building DAG|Using shell|Select jobs|Complete log|Elapsed time|Config file|Provided "
    "|Job .* has been submitted|Waiting at most|Removing |Touching |Trying to restart|Shutting down"
    "|Exiting because a job execution|RuleException:\nCalledProcessError|WorkflowError:\nAt least one job did not"
)


class LogHandler(LogHandlerBase):
    """Shows Snakemake's events; Snakemake looks for a class of this name."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.running: dict[int, JobState] = {}
        self.failed: dict[int, JobState] = {}
        self.done = self.total = 0
        self.started = 0.0  # seconds since 1970, when the first job could start
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

    def _handle(self, record: Any) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self._on_begin(record.stats["total"])
        elif event == LogEvent.JOB_INFO:
            self._on_start(record)
        elif event == LogEvent.JOB_FINISHED:
            self._on_finish(record.job_id)
        elif event == LogEvent.JOB_ERROR:
            self._on_failure(record)
        elif event in (None, LogEvent.ERROR):
            self._on_message(record.getMessage(), STYLES.get(record.levelname, ""))

    def _on_message(self, message: str, style: str) -> None:
        self.interrupted |= message.startswith("Terminating processes")
        if (missing := MISSING_OUTPUT.search(message)) and (job := self.running.pop(int(missing[1]), None)):
            self.failed[int(missing[1])] = job
        if not HIDDEN.match(message):
            self.print(message, style)

    def _on_begin(self, total: int) -> None:
        self.started, self.total = time.time(), total
        if self.display:
            self.display.start()
        else:
            self.print(f"{total} jobs to run")

    def _on_start(self, job: Any) -> None:
        self.failed.pop(job.jobid, None)  # it is tried again
        self.running[job.jobid] = started_job(job)
        self._print_step("started", self.running[job.jobid].label)

    def _on_finish(self, number: int) -> None:
        job = self.running.pop(number)
        self.done += 1
        self._print_step("finished", f"{job.label} ({job.elapsed}; {self.done} of {self.total})")
        if self.display:
            self.display.print_unlogged()

    def _on_failure(self, error: Any) -> None:
        job = self.running.pop(error.jobid, None)
        if job is None or self.interrupted:  # at the end, Ctrl-C ends every job
            return
        self.failed[error.jobid] = job
        job.logs = error.log  # with SLURM's own log
        self.print(f"failed: {job.label} after {job.elapsed}", "bold red")
        if error.rule_msg:
            self.print(f"  {error.rule_msg}")
        self._print_log(job)

    def _print_log(self, job: JobState) -> None:
        """Last lines of the first log that has any: the job's own, unless the job never started."""
        contents = {log: last_lines(log) for log in job.logs}
        log = next((log for log, lines in contents.items() if lines), None)
        for line in contents[log] if log else ():
            self.print(f"    {line}")
        if job.logs:
            self.print(f"  log: {log or ', '.join(job.logs)}")
        elif self.display:
            self.display.print_unlogged()

    def _print_step(self, event: str, job: str) -> None:
        """Print that a job has started or finished, when no display shows it."""
        if not self.display:
            self.print(f"[{format_seconds(time.time() - self.started)}] {event} {job}")

    def print(self, text: str, style: str = "") -> None:
        """Print lines that stay on the screen."""
        if self.display:
            self.display.print(text, style)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Print a summary. Snakemake calls this when all events have been handled."""
        started, self.started = self.started, 0.0
        if self.display:
            self.display.stop()
            self.display = None
        if started:
            self._print_summary(format_seconds(time.time() - started))
        super().close()

    def _print_summary(self, elapsed: str) -> None:
        counts = f"{self.done} of {self.total} jobs done in {elapsed}"
        failed = list(self.failed.values())
        if self.interrupted:
            self.print(f"medgrid: interrupted, {counts}; run the same command again to continue")
        elif failed:
            left = self.total - self.done - len(failed)
            self.print(f"medgrid: {counts}, {len(failed)} failed, {left} not started:")
        else:
            self.print(f"medgrid: {counts}")
        for job in [] if self.interrupted else failed:
            self.print(f"  {job.label}: {', '.join(job.logs) or 'no log'}")
        for handler in logging.getLogger("snakemake.logging").handlers:
            if isinstance(handler, logging.FileHandler):
                self.print(f"full log: {os.path.relpath(handler.baseFilename)}")
