"""Logs of jobs: their last lines, and how far a running job is."""

import os
import re
from pathlib import Path

LINES = 20  # of a failed job's log that are shown
# A progress bar of tqdm in a log, with or without a known total
BAR = re.compile(r"[^\r\n]*?(\d+%\|[^|\r\n]*\|[^\r\n\]]*\]?|\d+\S* \[\d\d:\d\d[^\r\n\]]*\])")


def last_lines(file: str, lines: int = LINES) -> list[str]:
    """Last lines of a log, without progress bars; none when it does not exist."""
    try:
        with Path(file).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    text = BAR.sub("", text).replace("\r", "\n")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def latest_progress(file: str, since: float) -> str:
    """Last line of a log that was written after `since` (seconds since 1970): mostly numbers of a progress bar."""
    try:
        with Path(file).open("rb") as log:
            if os.fstat(log.fileno()).st_mtime < since - 1:
                return ""  # of an earlier run: on a cluster, a job waits before it starts its log
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2048))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [part.strip() for part in re.split(r"[\r\n]", text) if part.strip()]
    return re.sub(r"\|[^|]*\|", "", lines[-1]).removeprefix("medgrid: ") if lines else ""
