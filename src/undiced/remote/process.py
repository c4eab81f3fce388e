"""EngineProcess: an engine process as its parent holds it: its sockets, its pulse, its last words, its exit.

Knows processes; no frames, no policy of restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import time
from typing import IO, TYPE_CHECKING

from undiced.core.printable import printable
from undiced.remote.pulse import BEAT
from undiced.remote.spare import Spare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undiced.remote.spec import EngineSpec

_LINE_BYTES = 1000
_LINES_LOGGED = 100  # of one process
_DUMP = "Fatal Python error"
_log = logging.getLogger("undiced.engine")


class EngineProcess:
    """A started engine process. It dies with the thread that made it.

    Attributes:
        link: our end of the socket for frames. started_s: on `time.monotonic`.
        last_words: the line in which a crash tells its reason, if it does: the last one that it wrote, or the one
            before a dump of its stack; printable.
        abandoned: the system did not end it, and we do not wait for it any more.
    """

    def __init__(self, spec: EngineSpec, spare: Spare | None = None) -> None:
        """Start it, or take one that waits to be told what it runs.

        Raises:
            OSError: the system refuses.
        """
        loop = asyncio.get_running_loop()
        self.last_words, self.abandoned = "", False
        self.started_s = time.monotonic()
        if spare is None or spare.spec not in (None, spec):
            spare = Spare()
        spare.take()
        self.link, self._pulse, self._process = spare.link, spare.pulse, spare.process
        self._pulse.setblocking(False)
        self._exit: asyncio.Future[int] = loop.create_future()
        if spare.spec is None:
            spare.tell(spec)
        threading.Thread(target=self._attend, args=(loop,), name="engine-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def beats(self) -> Iterator[float]:
        """What it has told since the last call; see `pulse`."""
        with contextlib.suppress(OSError):  # there is no more
            while len(beat := self._pulse.recv(BEAT.size)) == BEAT.size:
                yield BEAT.unpack(beat)[0]

    def _attend(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear what it says until it has exited."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            self._listen(output)
        status = self._process.wait()
        with contextlib.suppress(RuntimeError):  # the event loop has closed
            loop.call_soon_threadsafe(self._exited, status)

    def _listen(self, output: IO[bytes]) -> None:
        lines, dumping = 0, False
        while line := output.readline(_LINE_BYTES):
            if not (text := printable(line.decode("utf-8", "replace").rstrip())):
                continue
            if not dumping:
                dumping = text.startswith(_DUMP)
                self.last_words = f"{self.last_words} {text}".lstrip() if dumping else text
            lines += 1
            if lines <= _LINES_LOGGED:
                _log.warning("engine process %d: %s", self.pid, text)

    def _exited(self, status: int) -> None:
        self._pulse.close()
        if not self._exit.done():
            self._exit.set_result(status)

    async def wait(self) -> int:
        """Its exit status, when it has exited; negative for a signal."""
        return await asyncio.shield(self._exit)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._process.kill()

    def abandon(self) -> None:
        """Take it for dead though it is not: the system can't end it, or not soon."""
        self.abandoned = not self._exit.done()
        self._exited(-signal.SIGKILL)

    async def end(self, grace_s: float) -> None:
        """Give it `grace_s` to exit, then kill it."""
        try:
            await asyncio.wait_for(self.wait(), grace_s)
        except TimeoutError:
            self._process.kill()
            await self.wait()


def describe(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"signal {-status}, {signal.Signals(-status).name}"
    return f"signal {-status}"
