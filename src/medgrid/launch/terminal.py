"""The live display of `medgrid run` at the bottom of a terminal."""

import os
import tempfile
import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from medgrid.launch.logs import latest_progress
from medgrid.launch.progress import ROWS, LogHandler
from medgrid.launch.run_state import JobState, format_seconds


class Display:
    """Draws the state of a run twice a second. `medgrid status` estimates when it ends."""

    def __init__(self, run: LogHandler):
        self.run = run
        # jobs without a log would write into the display, so their output goes to a file first
        self.terminal, self.unlogged, self.printed = os.dup(2), tempfile.TemporaryFile(), 0  # noqa: SIM115
        self.redirected = {stream: os.dup(stream) for stream in (1, 2) if os.isatty(stream)}
        for stream in self.redirected:
            os.dup2(self.unlogged.fileno(), stream)
        self.console = Console(file=os.fdopen(self.terminal, "w", closefd=False), highlight=False)
        self.live = Live(
            get_renderable=self._draw,
            console=self.console,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
        )

    def start(self) -> None:
        self.live.start()

    def print(self, text: str, style: str = "") -> None:
        """Print lines above the display."""
        self.console.print(Text(text, style), soft_wrap=True)

    def print_unlogged(self) -> None:
        """Print the output of jobs without a log since the last call."""
        # `read` would move the position at which jobs write
        text = os.pread(self.unlogged.fileno(), 1_000_000, self.printed)
        self.printed += len(text)
        if text:
            self.print(text.decode(errors="replace").rstrip())

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self.live.stop()
        self.print_unlogged()
        for stream, original in self.redirected.items():
            os.dup2(original, stream)

    def _draw(self) -> RenderableType:
        jobs = list(self.run.running.values())
        shown = jobs[: max(1, min(ROWS, self.console.height - 4))]
        width = min(max((len(job.label) for job in shown), default=0), self.console.width // 2)
        rows = [self._head(), *(self._row(job, width) for job in shown)]
        if len(jobs) > len(shown):
            rows.append(Text(f"  and {len(jobs) - len(shown)} more"))
        return Group(*rows)

    def _head(self) -> Table:
        """How many jobs are done and have failed, and how long the run has taken."""
        run, head = self.run, Table.grid(padding=(0, 1))
        failed = Text(f"{len(run.failed)} failed" if run.failed else "", "bold red")
        bar = ProgressBar(total=run.total, completed=run.done, width=30)
        head.add_row(f"{run.done} of {run.total} jobs", bar, format_seconds(time.time() - run.started), failed)
        return head

    def _row(self, job: JobState, width: int) -> Text:
        """A running job's name in `width` characters, its time, and its progress from its log."""
        progress = latest_progress(job.logs[0], job.started) if job.logs else ""
        name = Text(job.label)
        name.truncate(width, overflow="ellipsis", pad=True)
        row = Text("  ").append(name).append(f"  {job.elapsed}").append(f"  {progress}", "dim")
        row.truncate(self.console.width, overflow="ellipsis")
        return row
