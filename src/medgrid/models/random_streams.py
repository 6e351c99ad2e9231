"""Streams of random numbers, one for each purpose: a new purpose does not change the numbers of the others."""

import hashlib

import numpy as np
import torch


def seeded_generator(seed: int, stream: int | str) -> torch.Generator:
    """A CPU generator for one purpose of one replicate: the same numbers on every device.

    `stream` is a number, or a name, which is hashed.
    """
    if isinstance(stream, str):
        stream = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "big")
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))
