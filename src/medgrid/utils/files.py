"""Atomic writes of files and folders, and locks that the operating system releases when their owner ends."""

import fcntl
import glob
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success it replaces `path` in one rename.

    A kill at any moment leaves either the old file or the new one, and a failure leaves nothing behind. The next
    process that writes the same file removes the temporary files of killed processes, but not those of running ones.
    """
    path = Path(path)
    temporary = _temporary_path(path, path.suffix)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield an empty temporary folder next to `path`; on success it replaces `path`, with all that `path` holds.

    A kill leaves the old folder, the new one or (between two renames) none, but never a part of one. Failures and
    killed processes are cleaned up as by `atomic_write`.
    """
    path = Path(path)
    temporary = _temporary_path(path)
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed process that had the same id
    new = temporary / "new"
    new.mkdir(parents=True)
    try:
        yield new
        if path.exists():
            path.rename(temporary / "old")
        new.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_path(path: Path, suffix: str = "") -> Path:
    """This process's temporary name for `path`; removes what processes of this host that have ended left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name.removesuffix(suffix)}~{platform.node()}~"
    for leftover in path.parent.glob(f"{glob.escape(prefix)}*{glob.escape(suffix)}"):
        process = leftover.name.removeprefix(prefix).removesuffix(suffix)
        if not process.isdecimal() or psutil.pid_exists(int(process)):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    return path.with_name(f"{prefix}{os.getpid()}{suffix}")


@contextmanager
def file_lock(path: str | os.PathLike, waiting_for: str) -> Iterator[None]:
    """Hold the lock file `path`; wait while another process holds it, and print that it waits for `waiting_for`.

    The operating system releases the lock when its owner ends, so a SIGKILL leaves nothing to clean up.
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
