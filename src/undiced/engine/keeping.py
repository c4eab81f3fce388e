"""Keeping: writes packed weights to their file while the engine answers, so slowly that nobody notices."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from undiced import _native
from undiced.engine.kept import chunks, head_bytes

if TYPE_CHECKING:
    from undiced.engine.kept import KeptWeights

_PAUSE_S = 0.02  # behind each chunk, which takes a millisecond
_LAST_CHUNKS = 64  # that are written at once when the engine closes, in 0.05 s; with more to come, nothing is kept


class Keeping:
    """Writes once, on a thread of its own, from `begin` on."""

    def __init__(self, kept: KeptWeights, engine: _native.Engine) -> None:
        self._kept, self._engine = kept, engine
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """To be called when the first answer has begun."""
        self._thread = threading.Thread(target=self._run, name="keeping", daemon=True)
        self._thread.start()
        atexit.register(self.stop)  # native code must not be inside when the interpreter goes

    def stop(self) -> None:
        """Before the engine closes: write what is left, or give up. Idempotent."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            atexit.unregister(self.stop)

    def _run(self) -> None:
        nbytes = self._engine.kept_bytes()
        file = self._kept.room(nbytes)
        if file is None:
            return
        try:
            sums: list[int] = []
            for chunk in range(chunks(nbytes)):
                if self._closing.wait(_PAUSE_S) and chunks(nbytes) - chunk > _LAST_CHUNKS:
                    return
                sums.append(self._engine.write_kept(file, head_bytes(nbytes), chunk))
            self._kept.put(file, nbytes, sums)
        except RuntimeError:  # a full disk
            return
        finally:
            os.close(file)
