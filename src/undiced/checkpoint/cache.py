"""Where fetched models live on this machine, and how two processes keep out of each other's way.

Knows directories and locks; knows nothing of packages. `UNDICED_CACHE` moves the whole cache.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from undiced.checkpoint.catalog import PackagedModel

ENVIRONMENT = "UNDICED_CACHE"


def cache_dir() -> Path:
    """The user's cache directory for Undiced; it may not exist yet."""
    override = os.environ.get(ENVIRONMENT)
    if override:
        return Path(override).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("undiced", appauthor=False))


def model_path(model: PackagedModel) -> Path:
    """Where the file of a catalog entry is, or will be."""
    return cache_dir() / "models" / model.name / model.file


def is_cached(model: PackagedModel) -> bool:
    """Whether the file is there. Its hash was checked before it got its name, so length is enough."""
    try:
        return model_path(model).stat().st_size == model.nbytes
    except OSError:
        return False


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder` against threads and processes; it is freed even if the holder is killed."""
    with (folder / ".lock").open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
