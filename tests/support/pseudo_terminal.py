"""A command of ours on a terminal of its own: what is typed, what is shown."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from types import TracebackType

_PATIENCE_S = 60.0
_SLOW_S = 0.2


class PseudoTerminal:
    """A process whose input, output and errors are a terminal. Use as a context manager."""

    def __init__(self, *command: str, columns: int = 80, **environment: str) -> None:
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
        streams = {"stdin": follower, "stdout": follower, "stderr": follower}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env={**clean, "TERM": "xterm", **environment},
            preexec_fn=_own_terminal,
            **streams,  # type: ignore[call-overload]
        )
        os.close(follower)
        self.shown = ""
        self._seen = 0

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._leader)

    def type(self, text: str) -> None:
        """Press keys; Ctrl-C as slowly as people do, for between two keys nobody looks for it."""
        if text == "\x03":
            time.sleep(_SLOW_S)
        os.write(self._leader, text.encode())

    def wait_for(self, text: str) -> None:
        """Read on until something is shown that was not waited for before."""
        end_s = time.monotonic() + _PATIENCE_S
        while (at := self.shown.find(text, self._seen)) < 0:
            assert time.monotonic() < end_s and self._read(), f"no {text!r} in {self.shown[self._seen :]!r}"
        self._seen = at + len(text)

    def end(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        return self.process.wait(_PATIENCE_S)

    def _read(self) -> bool:
        if not select.select([self._leader], [], [], _PATIENCE_S)[0]:
            return False
        try:
            self.shown += os.read(self._leader, 1 << 16).decode(errors="replace")
        except OSError:  # nobody has the other side open any more
            return False
        return True


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
