"""The machine everybody has: processor cores around a shared bus. Described like a wafer, by data alone."""

from __future__ import annotations

import os

from msgspec import Struct

from undiced.core.digest import sha256
from undiced.core.errors import CompileError
from undiced.core.memory import main_memory_bytes

_MAX_THREADS = 1024


class Host(Struct, frozen=True):
    """A host's processor, as far as placing a model needs it.

    Attributes:
        threads: cores that a program uses, one team member each.
        memory_bytes: main memory that the process may use.
    """

    name: str
    threads: int
    memory_bytes: int

    @property
    def digest(self) -> str:
        """sha256 of what a program depends on: the number of threads."""
        return sha256(f"host|{self.threads}".encode()).hexdigest()


def host(threads: int | None = None) -> Host:
    """This machine with `threads` cores (default: all that the process may use).

    Raises:
        CompileError: a number of threads that no machine has.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = usable if threads is None else threads
    if not 1 <= count <= _MAX_THREADS:
        raise CompileError(f"A host program can't use {count} threads.", remedy=f"Use 1 to {_MAX_THREADS}.")
    return Host("host", count, main_memory_bytes())
