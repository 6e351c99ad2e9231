"""Graphics processors shared among the jobs of one machine: each job holds a slot for as long as it lives.

Snakemake counts resources and does not number them, so the jobs themselves agree on who takes which processor. The
operating system frees a slot when its job ends, however it ends.
"""

import fcntl
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

PATIENCE = 1.0  # seconds between two looks for a free slot


def _take(path: Path) -> IO | None:
    """Hold the lock file `path`; None while another process does."""
    try:
        # not `a`, which may create: kernels refuse that for another user's file in a folder like /tmp
        handle = path.open("r+")
    except FileNotFoundError:
        handle = path.open("a")
        path.chmod(0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def claim(devices: list[str], slots: int, folder: Path | None = None) -> tuple[int, IO]:
    """Wait for a slot on one of `devices`, each of which has `slots`; returns its position and what holds the slot.

    `devices`: names that mean the same to all jobs of this machine, whatever each of them may see. Empty ones go
    first. `folder`: of the lock files; by default the machine's own for temporary files, shared by all projects.
    """
    folder = folder or Path(tempfile.gettempdir())
    names = [re.sub(r"\W+", "-", device) for device in devices]
    waiting = False
    while True:
        for slot in range(slots):
            for position, name in enumerate(names):
                handle = _take(folder / f"medgrid-gpu-{name}-{slot}.lock")
                if handle is not None:
                    return position, handle
        if not waiting:
            print(f"medgrid: waiting for one of {len(devices)} x {slots} GPU slots", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(PATIENCE)
