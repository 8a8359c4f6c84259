"""Memory of the process: allocator settings and peak usage."""

import ctypes
import logging
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names and numbers of glibc's malloc.h
LARGEST_KEPT = 32 << 20  # bytes, the upper limit that glibc documents: the gradient of 80,000 items of width 100
FREE_KEPT = 256 << 20  # bytes: the buffers of one training step

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")

log = logging.getLogger(__name__)


def keep_freed_memory() -> bool:
    """Stops glibc from returning the buffers of every step to the kernel: their page faults cost a tenth of a step.

    Larger buffers, from evaluation and from large catalogues, are still returned: they would pile up otherwise.

    Returns:
        Whether the allocator accepted both settings; False where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    accepted = [mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT), mallopt(M_TRIM_THRESHOLD, FREE_KEPT)]
    if not all(accepted):
        log.warning("The allocator refused its settings: steps may take a tenth longer.")
    return all(accepted)


def forget_peak() -> None:
    """Lets :func:`peak_memory` begin anew, where the system can: on Linux."""
    with suppress(OSError):
        CLEAR.write_text("5")  # proc(5): resets the peak resident set size


def peak_memory() -> float:
    """The peak memory of this process since :func:`forget_peak`, or since its start, in GB."""
    if STATUS.is_file():
        peak = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
        if peak:
            return int(peak[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
