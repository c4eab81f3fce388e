"""A command on a terminal of its own: what is typed, what is shown."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType

_PATIENCE_S = 60.0
_SLOW_S = 0.2


class PseudoTerminal:
    """A process (Python, if no program is named) with a terminal for input, output and errors. A context manager."""

    def __init__(
        self,
        *command: str,
        program: str = sys.executable,
        folder: Path | None = None,
        columns: int = 80,
        **environment: str,
    ) -> None:
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
        streams = {"stdin": follower, "stdout": follower, "stderr": follower}
        self.process = subprocess.Popen(
            [program, *command],
            cwd=folder,
            env={**clean, "TERM": "xterm", **environment},
            preexec_fn=_own_terminal,
            **streams,  # type: ignore[call-overload]
        )
        os.close(follower)
        self.shown = ""
        self._seen = 0
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

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
        found = self.find(re.compile(re.escape(text)), _PATIENCE_S)
        assert found, f"no {text!r} in {self.shown[self._seen :]!r}"

    def find(self, pattern: re.Pattern[str], patience_s: float) -> re.Match[str] | None:
        """The same for a pattern; None if the process ends or patience does."""
        end_s = time.monotonic() + patience_s
        while (found := pattern.search(self.shown, self._seen)) is None:
            if (left_s := end_s - time.monotonic()) <= 0 or not self._read(left_s):
                return None
        self._seen = found.end()
        return found

    def end(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        return self.process.wait(_PATIENCE_S)

    def _read(self, patience_s: float = _PATIENCE_S) -> bool:
        if not select.select([self._leader], [], [], patience_s)[0]:
            return False
        try:
            self.shown += self._decode(os.read(self._leader, 1 << 16))
        except OSError:  # nobody has the other side open any more
            return False
        return True


def _own_terminal() -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # ignored where tests run in the background
        signal.signal(number, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
