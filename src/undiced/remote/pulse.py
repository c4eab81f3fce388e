"""Pulse: tells the parent, once per second, that the engine process lives, and for how long its work has not moved.

Runs in a thread of its own, on a socket of its own: native code frees the interpreter's lock while it loads and while
it computes, and a link that is full is no hang. What moves is a count: turns of the loop, parts that were loaded,
instructions that the backend has done. So a step may take minutes, as long as its instructions follow one another.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

BEAT = struct.Struct("<d")  # seconds for which nothing has moved; 0 while there is nothing to do
BEAT_EVERY_S = 1.0


def _still() -> int:
    """Nothing counts yet."""
    return 0


class Pulse:
    """The engine process's side.

    Attributes:
        turns: the main thread adds one whenever it gets further.
        resting: the main thread waits for work.
        progress: a count that moves while a step does; any thread may call it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.turns = 0
        self.resting = False
        self.progress: Callable[[], int] = _still
        self._socket = sock
        self._socket.setblocking(False)
        self._before = (0, 0)
        self._stuck_s = 0.0

    def start(self) -> None:
        """Beat from now on, until the process ends."""
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def let_go(self) -> None:
        """Ask for no progress any more: the backend is about to be closed."""
        self.progress = _still

    def _run(self) -> None:
        last_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            # time in which this process did not run is nobody's fault
            self._send(self.observe(min(now_s - last_s, 2 * BEAT_EVERY_S)))
            last_s = now_s
            time.sleep(BEAT_EVERY_S)

    def observe(self, passed_s: float) -> float:
        """Seconds for which nothing has moved; `passed_s` more have passed."""
        now = (self.turns, self.progress())
        self._stuck_s = 0.0 if self.resting or now != self._before else self._stuck_s + passed_s
        self._before = now
        return self._stuck_s

    def _send(self, stuck_s: float) -> None:
        try:
            self._socket.send(BEAT.pack(stuck_s))
        except BlockingIOError:
            pass  # the parent does not read now; it knows that it was away
        except OSError:
            os._exit(0)  # there is no parent any more
