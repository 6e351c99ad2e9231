"""How many threads a job may use."""

import os


def usable_threads(wanted: int = 0) -> int:
    """`wanted` threads, but at most one for each core that this process may use; 0: one for each."""
    cores = len(os.sched_getaffinity(0))
    return min(wanted or cores, cores)
