"""Select, log and record the device that computes."""

import ctypes
import platform
import sys
from typing import IO

import torch

from medgrid.models.gpu_lock import acquire
from medgrid.utils.errors import MedgridError
from medgrid.utils.threads import usable_threads

# glibc's mallopt: M_TRIM_THRESHOLD, M_MMAP_MAX
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


_slots: list[IO] = []  # lock files of GPU slots, open until this process ends


def choose(wanted: str, threads: int, slots: int = 1) -> torch.device:
    """Select the device for `wanted` (auto, cpu or cuda), log it and set torch's number of threads (0: no change).

    Of several GPUs it is one with a free slot, of `slots` each; if there is none, this waits. Raises MedgridError
    when cuda is wanted and torch sees no CUDA device.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise MedgridError("device: cuda, but torch finds no CUDA device; set device to auto or cpu")
    device = torch.device("cpu")
    if wanted != "cpu" and torch.cuda.is_available():
        count = torch.cuda.device_count()
        index, slot = acquire([str(torch.cuda.get_device_properties(i).uuid) for i in range(count)], slots)
        _slots.append(slot)
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    if threads:
        torch.set_num_threads(usable_threads(threads))
    if device.type == "cpu":
        keep_memory()
    else:
        # results are recorded as float32: with TF32, cuDNN rounds the inputs of convolutions to 10 bits
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    print(f"medgrid: device {describe(device)}", file=sys.stderr, flush=True)
    return device


def keep_memory() -> None:
    """Let glibc keep freed memory instead of returning every large activation to the kernel.

    Otherwise page faults take longer than the arithmetic (see `benchmarks/README.md`). Without glibc this does
    nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def describe(device: torch.device) -> str:
    """The device in words, such as `cpu, 2 threads` or `cuda, NVIDIA H200`."""
    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


# what `stamp` records
STAMP = ("device", "precision", "torch", "python", "machine")


def stamp(device: torch.device, mixed: bool = False) -> dict:
    """The environment of a computation (keys: STAMP), stored with its results. `mixed`: with autocast to bfloat16."""
    mixed = mixed and device.type == "cuda" and torch.cuda.is_bf16_supported()
    return {
        "device": describe(device),
        "precision": "bfloat16 autocast" if mixed else "float32",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
