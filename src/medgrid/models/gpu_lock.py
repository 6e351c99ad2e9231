"""GPUs shared by the jobs of one machine: each job holds a slot of a GPU until its process ends.

Snakemake counts resources but does not number them, so the jobs themselves select which GPU each of them uses. A slot
is a lock on a file, which the operating system releases when the job ends, also when it is killed.
"""

import fcntl
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

POLL_INTERVAL = 1.0  # seconds


def _try_lock(path: Path) -> IO | None:
    """Lock the file `path`; None if another process holds it."""
    try:
        # not mode `a`, which may create files: for another user's file in a folder like /tmp, kernels refuse that
        file = path.open("r+")
    except FileNotFoundError:
        file = path.open("a")
        path.chmod(0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def acquire(devices: list[str], slots: int, folder: Path | None = None) -> tuple[int, IO]:
    """Wait for a free slot on one of `devices`, with `slots` each; returns its index and the open lock file.

    The slot is held until the file is closed. `devices` are names that mean the same GPU to all jobs of the machine,
    such as UUIDs. Devices without a job are preferred. `folder` is for lock files; the default is the machine's
    folder for temporary files, so that all projects share it.
    """
    folder = folder or Path(tempfile.gettempdir())
    names = [re.sub(r"\W+", "-", device) for device in devices]
    waiting = False
    while True:
        for slot in range(slots):
            for index, name in enumerate(names):
                lock = _try_lock(folder / f"medgrid-gpu-{name}-{slot}.lock")
                if lock is not None:
                    return index, lock
        if not waiting:
            print(f"medgrid: waiting for one of {len(devices)} x {slots} GPU slots", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(POLL_INTERVAL)
