"""The number of threads that a job may use."""

import os


def usable_threads(requested: int = 0) -> int:
    """`requested` threads, at most one per core that this process may use; 0: one per core."""
    cores = len(os.sched_getaffinity(0))
    return min(requested or cores, cores)
