"""Which build of the package this is, by its files: for what is kept of one run for another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def files_of(folders: Iterable[str]) -> list[tuple[str, int, int]]:
    """Names, sizes and times of the modules in folders of the package. Raises OSError."""
    found = []
    for folder in folders:
        with os.scandir(_ROOT / folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found.append((f"{folder}/{entry.name}", status.st_size, status.st_mtime_ns))
    return sorted(found)
