"""The live display of `medgrid run` at the bottom of a terminal."""

import os
import tempfile
import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from medgrid.launch.progress import ROWS, LogHandler, latest, span


class Display:
    """Redraws the state of a run twice a second. No time left is shown: jobs differ too much for a fair guess."""

    def __init__(self, run: LogHandler):
        self.run = run
        # jobs without a log would write into the display: what they print goes to a file first
        self.terminal, self.unlogged, self.printed = os.dup(2), tempfile.TemporaryFile(), 0  # noqa: SIM115
        self.taken = {each: os.dup(each) for each in (1, 2) if os.isatty(each)}
        for each in self.taken:
            os.dup2(self.unlogged.fileno(), each)
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

    def say(self, text: str, style: str = "") -> None:
        """Print lines above the display."""
        self.console.print(Text(text, style), soft_wrap=True)

    def print_unlogged(self) -> None:
        """Print what jobs without a log have written since the last call."""
        # `read` would move the position at which they write
        text = os.pread(self.unlogged.fileno(), 1_000_000, self.printed)
        self.printed += len(text)
        if text:
            self.say(text.decode(errors="replace").rstrip())

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self.live.stop()
        self.print_unlogged()
        for each, original in self.taken.items():
            os.dup2(original, each)

    def _draw(self) -> RenderableType:
        run, jobs = self.run, list(self.run.running.values())
        head = Table.grid(padding=(0, 1))
        failed = Text(f"{len(run.failed)} failed" if run.failed else "", "bold red")
        bar = ProgressBar(total=run.total, completed=run.done, width=30)
        head.add_row(f"{run.done} of {run.total} jobs", bar, span(time.time() - run.began), failed)
        shown = jobs[: max(1, min(ROWS, self.console.height - 4))]
        width = min(max((len(job.label) for job in shown), default=0), self.console.width // 2)
        rows = [head]
        for job in shown:
            now = latest(job.logs[0], job.began) if job.logs else ""
            name = Text(job.label)
            name.truncate(width, overflow="ellipsis", pad=True)
            row = Text("  ").append(name).append(f"  {job.elapsed}").append(f"  {now}", "dim")
            row.truncate(self.console.width, overflow="ellipsis")
            rows.append(row)
        if len(jobs) > len(shown):
            rows.append(Text(f"  and {len(jobs) - len(shown)} more"))
        return Group(*rows)
