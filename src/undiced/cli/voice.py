"""Voice: what a server says on its standard output and error. Saying something never waits and never fails.

A thread of its own writes the lines. A terminal that has gone, a full disk, a pipe that nobody reads: the lines are
lost, and the server goes on. Knows descriptors, not what is said.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import threading

from undiced.core.printable import printable

OUTPUT, ERROR = 1, 2
_LINES_KEPT = 1000
_PATIENCE_S = 1.0


class Voice:
    """Lines to two descriptors, in order."""

    def __init__(self) -> None:
        self._lines: queue.Queue[tuple[int, bytes] | None] = queue.Queue(_LINES_KEPT)
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)
        self._thread.start()

    def say(self, line: str, *, where: int = OUTPUT) -> None:
        """Say a line; lost if many are waiting already."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait((where, f"{line}\n".encode("utf-8", "backslashreplace")))

    def close(self) -> None:
        """Wait a moment until everything has been said."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=_PATIENCE_S)
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        while (said := self._lines.get()) is not None:
            with contextlib.suppress(OSError):
                _write(*said)


def _write(where: int, rest: bytes) -> None:
    while rest:
        try:
            rest = rest[os.write(where, rest) :]
        except BlockingIOError:  # somebody else who has this terminal or pipe made it so
            select.select([], [where], [])


class VoiceHandler(logging.Handler):
    """Log records, said on the error stream."""

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        """Say it; a record that can't be formatted is a bug and is told as one."""
        try:
            self._voice.say(printable(self.format(record)), where=ERROR)
        except Exception:
            self._voice.say(f"ERROR {record.name}: a log record could not be formatted: {record.msg!r}", where=ERROR)
