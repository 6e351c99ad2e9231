"""Start Snakemake so that a run killed at any moment can simply be started again."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import psutil

from medgrid.errors import MedgridError

SNAKEMAKE = [sys.executable, "-m", "snakemake"]


def _snakemake_here() -> int | None:
    """Number of a process that runs a plain `snakemake` in this folder, which does not hold our lock."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        named = any(part.endswith(("snakemake", "snakemake/__main__.py")) for part in process.info["cmdline"] or ())
        if named and process.info["cwd"] == str(Path.cwd()) and process.pid != os.getpid():
            return process.pid
    return None


def run(arguments: list[str]) -> NoReturn:
    """Become `snakemake ARGUMENTS`, the only one in this folder.

    Snakemake's own lock outlives a SIGKILL and then needs a manual `--unlock`. Here the operating system's lock
    tells whether a run is alive, since it goes with the process. Raises MedgridError when one is.
    """
    if not Path("Snakefile").exists():
        raise MedgridError("there is no Snakefile here; run from the project's folder")
    Path(".snakemake").mkdir(exist_ok=True)
    lock = os.open(".snakemake/medgrid.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MedgridError("another `medgrid run` is active in this folder; wait for it or stop it") from None
    if any(Path(".snakemake/locks").glob("*")):
        if active := _snakemake_here():
            raise MedgridError(f"snakemake (process {active}) is active in this folder; wait for it or stop it")
        unlocked = subprocess.run([*SNAKEMAKE, "--unlock", *arguments], capture_output=True, text=True)
        if unlocked.returncode:
            sys.exit(unlocked.stderr)
    # Snakemake inherits the lock; the jobs that it starts do not
    os.set_inheritable(lock, True)
    os.execv(SNAKEMAKE[0], [*SNAKEMAKE, *arguments])  # noqa: S606
