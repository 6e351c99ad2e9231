"""Which processor computes, said aloud and stamped on results."""

import ctypes
import platform
import sys
from typing import IO

import torch

from medgrid.models.gpu_lock import claim
from medgrid.utils.errors import MedgridError
from medgrid.utils.threads import usable_threads

# glibc's mallopt: M_TRIM_THRESHOLD, M_MMAP_MAX
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


_held: list[IO] = []  # slots, for as long as this process lives


def choose(wanted: str, threads: int, slots: int = 1) -> torch.device:
    """Resolve `wanted` (auto, cpu, cuda); raises MedgridError when cuda is wanted and there is none.

    Of several GPUs it takes one that has a free slot, and waits for one where all are taken; `slots`: of each GPU.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise MedgridError("device: cuda, but torch sees no CUDA device here; set device to auto or cpu")
    device = torch.device("cpu")
    if wanted != "cpu" and torch.cuda.is_available():
        count = torch.cuda.device_count()
        position, slot = claim([str(torch.cuda.get_device_properties(i).uuid) for i in range(count)], slots)
        _held.append(slot)
        device = torch.device("cuda", position)
        torch.cuda.set_device(device)
    if threads:
        torch.set_num_threads(usable_threads(threads))
    if device.type == "cpu":
        keep_memory()
    else:
        # results are stamped float32, and mean it: cuDNN would round convolutions' inputs to 10 bits
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    print(f"medgrid: device {describe(device)}", file=sys.stderr, flush=True)
    return device


def keep_memory() -> None:
    """Let glibc keep freed memory instead of handing every large activation back to the kernel.

    Page faults otherwise cost more than the arithmetic: see `benchmarks/README.md`. Elsewhere than on glibc
    this does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def describe(device: torch.device) -> str:
    """Such as `cpu, 2 threads` or `cuda, NVIDIA H200`."""
    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


STAMP = ("device", "precision", "torch", "python", "machine")


def stamp(device: torch.device, mixed: bool = False) -> dict:
    """What computed (names: STAMP), kept beside every result. `mixed`: with autocast, where there is bfloat16."""
    mixed = mixed and device.type == "cuda" and torch.cuda.is_bf16_supported()
    return {
        "device": describe(device),
        "precision": "bfloat16 autocast" if mixed else "float32",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
