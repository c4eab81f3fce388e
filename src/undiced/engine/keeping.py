"""What is done with kept weights behind the first answer, so slowly that nobody notices: `write` puts packed ones into
their file, `settle` takes those that are a view of it into memory.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from undiced.engine.kept import chunks, head_bytes

if TYPE_CHECKING:
    from undiced import _native
    from undiced.engine.kept import KeptWeights

Ending = Callable[[float], bool]  # waits for so many seconds; whether an end is wanted

_WRITE_PAUSE_S = 0.02  # before each chunk, which takes a millisecond; disks shall keep up
_SETTLE_PAUSE_S = 0.005  # before each chunk, which takes up to two; steps are slower until all is done
_LAST_CHUNKS = 64  # that are written at once when the engine closes, in 0.05 s; with more to come, nothing is kept


class Behind:
    """Does some work once, on a thread of its own."""

    def __init__(self, work: Callable[[Ending], None]) -> None:
        self._work = work
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kept weights", daemon=True)
        self._thread.start()
        atexit.register(self.stop)  # native code must not be inside when the interpreter goes

    def stop(self) -> None:
        """Before the engine closes: have the work end. Idempotent."""
        self._closing.set()
        self._thread.join()
        atexit.unregister(self.stop)

    def wait(self) -> None:
        """Until the work is done."""
        self._thread.join()

    def _run(self) -> None:
        self._work(self._closing.wait)


def write(kept: KeptWeights, engine: _native.Engine, ending: Ending) -> None:
    """Keep the engine's weights; at an end with little left to write that is still done."""
    nbytes = engine.kept_bytes()
    file = kept.room(nbytes)
    if file is None:
        return
    try:
        sums: list[int] = []
        for chunk in range(chunks(nbytes)):
            if ending(_WRITE_PAUSE_S) and chunks(nbytes) - chunk > _LAST_CHUNKS:
                return
            sums.append(engine.write_kept(file, head_bytes(nbytes), chunk))
        kept.put(file, nbytes, sums)
    except RuntimeError:  # a full disk
        return
    finally:
        os.close(file)


def settle(kept: KeptWeights, engine: _native.Engine, ending: Ending) -> None:
    """Give weights that are a view of their file memory of their own, in huge pages, where the system can."""
    for chunk in range(chunks(engine.kept_bytes())):
        if ending(_SETTLE_PAUSE_S) or not engine.settle_kept(chunk):
            break
    kept.used()
