"""The machine everybody has: processor cores with caches around a shared bus. Described like a wafer, by data alone."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from undiced.core.errors import CompileError
from undiced.core.memory import main_memory_bytes

_MAX_THREADS = 1024
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True, slots=True)
class Host:
    """A host's processor, as far as placing a model needs it.

    Attributes:
        threads: cores that a program uses, one team member each.
        l2_bytes: private cache of one core; l3_bytes: shared by all (0 where the system does not tell).
        memory_bytes: main memory that the process may use.
    """

    name: str
    threads: int
    l2_bytes: int
    l3_bytes: int
    memory_bytes: int

    @property
    def digest(self) -> str:
        """sha256 of what a program depends on: the number of threads. Caches only inform reports."""
        return hashlib.sha256(f"host|{self.threads}".encode()).hexdigest()


def host(threads: int | None = None) -> Host:
    """This machine with `threads` cores (default: all that the process may use).

    Raises:
        CompileError: a number of threads that no machine has.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = usable if threads is None else threads
    if not 1 <= count <= _MAX_THREADS:
        raise CompileError(f"A host program can't use {count} threads.", remedy=f"Use 1 to {_MAX_THREADS}.")
    return Host("host", count, _cache_bytes(2), _cache_bytes(3), main_memory_bytes())


def _cache_bytes(level: int) -> int:
    """Size of the first core's unified cache of a level, from Linux's sysfs; 0 where there is none."""
    for index in _CACHES.glob("index*"):
        try:
            if (index / "level").read_text().strip() == str(level):
                text = (index / "size").read_text().strip()
                return int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0)
        except (OSError, ValueError):
            continue
    return 0
