"""Checkpoints of a training job: finished groups of trainings, and the state of the one that is being trained."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from medgrid.utils.files import atomic_write

SAVE_EVERY = 20.0  # seconds between two checkpoints of a running group, at least
SAVE_SHARE = 20  # at least this many times the time that saving takes


class Checkpoints:
    """Files of the groups of a job (cells and a seed, see `job.Group`) in a folder.

    Names depend on cells and seed only, so jobs for other seeds of the same cells share the folder: a job for the
    seeds 0 to 7 reuses what an interrupted job for the seeds 0 to 4 has finished.
    """

    def __init__(self, folder: Path, save_every: float = SAVE_EVERY):
        """`save_every`: seconds between checkpoints of a running group; 0: one after each epoch."""
        self.folder, self.save_every = folder, save_every

    def _finished_file(self, group: str) -> Path:
        return self.folder / f"{group}.pt"

    def _running_file(self, group: str) -> Path:
        return self.folder / "running" / f"{group}.pt"

    def is_finished(self, group: str) -> bool:
        return self._finished_file(group).exists()

    def load_finished(self, group: str) -> dict | None:
        """Results of a finished group, on the CPU; None if it is not finished."""
        return _load(self._finished_file(group), torch.device("cpu"))

    def load_running(self, group: str, device: torch.device) -> dict | None:
        """The last saved state of a group; None if there is none."""
        return _load(self._running_file(group), device)

    def save_finished(self, group: str, results: dict) -> None:
        """Save a group's results and remove the state that it was trained from."""
        save(results, self._finished_file(group))
        self._running_file(group).unlink(missing_ok=True)

    def saver(self, group: str, state: Callable[[], dict]) -> Callable[[], None]:
        """A function to call after each epoch; it saves `state()` if the last checkpoint is old enough."""
        last, pause = time.monotonic(), self.save_every

        def save_if_due() -> None:
            nonlocal last, pause
            if time.monotonic() - last < pause:
                return
            start = time.monotonic()
            save(state(), self._running_file(group))
            last = time.monotonic()
            pause = max(self.save_every, SAVE_SHARE * (last - start)) if self.save_every else 0.0

        return save_if_due


def save(content: dict, path: Path) -> None:
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def _load(path: Path, device: torch.device) -> dict | None:
    """Content of `path`; None if the file does not exist or cannot be read, e.g. after a disk failure."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:
        print(f"medgrid: {path} is damaged ({type(error).__name__}); training again", file=sys.stderr, flush=True)
        return None
