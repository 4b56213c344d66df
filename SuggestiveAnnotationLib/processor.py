"""How many cores the project takes, how much memory there is, and how much it took."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_the_processor() -> None:
    """Leave half of the cores to Slicer and to other programs, unless OMP_NUM_THREADS says otherwise.

    Before numpy, scipy or torch is imported: what computes for them asks when it is loaded, and never again.
    Threads that wait for each other on a core that somebody else needs make a training step ten times slower.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // 2)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes; 0 where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory_size() -> int:
    """Bytes that this process may take: of the computer, of its container, or by its own limit; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    with suppress(OSError, ValueError):
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min(limits)
