"""Settings of this process that make work on a CPU quicker; they change no result."""

import ctypes
import os
import sys
from functools import cache

WAIT_POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user decides how threads wait."""
LARGEST_KEPT, LARGEST_TRIMMED = 2**30, 2**31 - 1
"""Bytes of a block, and of all free memory, up to which the allocator keeps what is freed."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def let_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait, in place of spinning, unless the user has decided otherwise.

    Threads that spin take the core from the process that they wait for: with other work on the machine, a step takes
    several times as long. It has an effect only before torch is imported.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in WAIT_POLICIES):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@cache
def keep_freed_memory() -> bool:
    """Have glibc keep freed blocks for the next step, in place of asking the system for new pages at every step.

    Returns:
        Whether the allocator was told; it is not where the C library is another, or the user set its thresholds.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, LARGEST_TRIMMED))
