"""Backends that go wrong, for tests of the engine process; named on its command line."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from support.fake import FakeBackend, open_fake

from undiced.core.errors import CheckpointError

if TYPE_CHECKING:
    from undiced.engine.load import BackendOptions, Progress


def refuse(options: BackendOptions, progress: Progress) -> FakeBackend:
    """A checkpoint that cannot be read."""
    raise CheckpointError(f"{options.checkpoint} is damaged.", remedy="Fetch it again.")


def die(options: BackendOptions, progress: Progress) -> FakeBackend:
    """Killed while loading, as when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def stumble(options: BackendOptions, progress: Progress) -> FakeBackend:
    """A bug while loading."""
    raise ZeroDivisionError("a bug")


def slow(options: BackendOptions, progress: Progress) -> FakeBackend:
    """Takes its time, and says so."""
    for part in range(5):
        progress(part / 5, "packing weights")
        time.sleep(0.1)
    return open_fake(options, progress)
