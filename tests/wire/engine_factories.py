"""Backends that go wrong, for tests of the engine process; named on its command line."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support.fake import FAKE_LIMITS, FakeBackend, open_fake

from undiced.core.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from undiced.engine.backend import StepInput
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


class Lingering(FakeBackend):
    """A step that reads the token 999 takes `seconds`; its progress moves on meanwhile if it `moves`."""

    seconds = 0.0
    moves = False

    def _write(self, batch: StepInput, index: int, begin: int, end: int) -> NDArray[np.int32]:
        end_s = time.monotonic() + (self.seconds if 999 in batch.tokens else 0.0)
        while time.monotonic() < end_s:
            time.sleep(0.01)
            self._begun += self.moves
        return super()._write(batch, index, begin, end)


def hang(options: BackendOptions, progress: Progress) -> FakeBackend:
    """A step with the token 999 never ends."""
    backend = Lingering(FAKE_LIMITS, step_s=0.001, sleep=True)
    backend.seconds = 1e6
    return backend


def linger(options: BackendOptions, progress: Progress) -> FakeBackend:
    """A step with the token 999 takes several seconds, and is healthy."""
    backend = Lingering(FAKE_LIMITS, step_s=0.001, sleep=True)
    backend.seconds, backend.moves = 4.0, True
    return backend


def stall(options: BackendOptions, progress: Progress) -> FakeBackend:
    """Loading stands still the second time; the file that `checkpoint` names tells that there was a first."""
    seen = Path(options.checkpoint)
    if seen.exists():
        time.sleep(1e6)
    seen.touch()
    return open_fake(options, progress)


def change(options: BackendOptions, progress: Progress) -> FakeBackend:
    """The second start finds other files."""
    seen = Path(options.checkpoint)
    if seen.exists():
        raise CheckpointError(f"The files of {seen} have changed.", remedy="Start the server again.")
    seen.touch()
    return open_fake(options, progress)
