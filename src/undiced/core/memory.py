"""How much main memory there is, container limits included. Linux's files, with a fallback."""

from __future__ import annotations

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
