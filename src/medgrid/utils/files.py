"""Files that appear whole or not at all, and locks that die with their owner."""

import fcntl
import glob
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place in one rename.

    A kill at any moment leaves either the old file or the new one, and a failure leaves nothing behind. What a killed
    process left is removed by the next one that writes the same file; an orphan that still writes is left alone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.stem}~{platform.node()}~"
    for left in path.parent.glob(f"{glob.escape(prefix)}*{path.suffix}"):
        if not psutil.pid_exists(int(left.stem.removeprefix(prefix))):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f"{prefix}{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def file_lock(path: str | os.PathLike, waiting_for: str) -> Iterator[None]:
    """Hold the lock file `path`, waiting (and saying so) while another process holds it.

    The operating system releases the lock when its owner dies, so a SIGKILL leaves nothing to clean up.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"medgrid: waiting for {waiting_for}", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
