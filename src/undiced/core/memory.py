"""How much main memory there is, container limits included, and giving back what is not needed. Linux's files and
glibc's calls, with fallbacks.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_FALLBACK_BYTES = 8 << 30  # assumed where the system does not tell


def main_memory_bytes() -> int:
    """Main memory that this process may use, in bytes."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        installed = _FALLBACK_BYTES
    try:
        limit = int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):
        limit = installed
    return min(installed, limit)


def give_back() -> None:
    """Hand freed memory that the allocator keeps for later to the system: to be called when all is loaded."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
