"""Trial: grammars tried in a process that may die, before one is compiled where others would die with it.

No limit inside a process holds against everything that a grammar may do to the library: chains of rules overflow its
stack, and patterns that meet take exponential time and memory. So it is tried elsewhere first, with bounds.
"""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import sys
import threading
import time

from undiced.core.errors import UnavailableError
from undiced.grammar.trial_process import HEAD

_ANSWER_S = 20.0  # by the clock; the process has a limit of processor time of its own
_MOST_ANSWER = 4096
_TOO_HARD = "it takes too much time or memory to compile"
_KEPT = ("PATH", "LD_LIBRARY_PATH", "HOME", "VIRTUAL_ENV")


class Trial:
    """One process for all grammars of this one, started when it is needed and again after it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def problem(self, grammar: str) -> str:
        """What is wrong with a grammar; empty: nothing. One at a time.

        Raises:
            UnavailableError: no process can be started.
        """
        with self._lock:
            process = self._running()
            try:
                return _ask(process, grammar.encode("utf-8", "replace"))
            except (OSError, EOFError, ValueError):
                self._end()
                return _TOO_HARD

    def close(self) -> None:
        """End the process; idempotent."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
            command = [sys.executable, "-P", "-m", "undiced.grammar.trial_process"]
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    process_group=0,
                )
            except OSError as error:
                raise UnavailableError(
                    f"No process for grammars can be started: {error}.", remedy="Try again in a few seconds."
                ) from None
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _ask(process: subprocess.Popen[bytes], grammar: bytes) -> str:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(HEAD.pack(len(grammar)) + grammar)
    process.stdin.flush()
    end_s = time.monotonic() + _ANSWER_S
    (length,) = HEAD.unpack(_exactly(process.stdout.fileno(), HEAD.size, end_s))
    if length > _MOST_ANSWER:
        raise ValueError("the answer is too long")
    return _exactly(process.stdout.fileno(), length, end_s).decode("utf-8", "replace")


def _exactly(file: int, count: int, end_s: float) -> bytes:
    data = b""
    while len(data) < count:
        if not select.select([file], [], [], max(0.0, end_s - time.monotonic()))[0]:
            raise TimeoutError
        piece = os.read(file, count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


TRIAL = Trial()
