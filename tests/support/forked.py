"""Commands that start at once: `undiced ...` forked from a process that has imported all that they need already, and
has done nothing else. What is forked is a process of its own, with its own engine, files and sockets, and dies alone.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import undiced

_LEFT_OUT = ("undiced.sim", "undiced.study", "undiced.account.migrations", "undiced.__main__")
_OTHERS = "alembic.command numpy.random sqlalchemy.dialects.postgresql.psycopg tokenizers uvloop".split()
_LINE_BYTES = 200_000  # an environment, too


class Forked:
    """A forked command, as `subprocess.Popen` tells of one. Whoever forked it waits for it."""

    def __init__(self, home: Forks, pid: int, stdout: TextIO) -> None:
        self.pid, self.stdout, self.returncode = pid, stdout, None
        self._home = home
        self.returncode: int | None

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._home.status(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not within so many seconds.
        """
        end = time.monotonic() + (timeout or float("inf"))
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("undiced", timeout or 0.0)
            time.sleep(0.005)
        return status


class Forks:
    """The process that forks; see the file's head. Told and asked by one thread."""

    def __init__(self) -> None:
        self._line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            command = [sys.executable, "-P", __file__, str(other.fileno())]  # nothing here is taken for a module
            self._process = subprocess.Popen(command, pass_fds=(other.fileno(),))
        assert self._line.recv(_LINE_BYTES) == b"ready"

    def start(self, *words: str) -> Forked:
        """Run `undiced` with these words, in the environment of now."""
        reading, writing = os.pipe()
        try:
            asked = json.dumps([words, dict(os.environ)]).encode()
            socket.send_fds(self._line, [asked], [writing])
            pid = int(self._line.recv(_LINE_BYTES))
        finally:
            os.close(writing)
        return Forked(self, pid, os.fdopen(reading))

    def status(self, pid: int) -> int | None:
        """How a command ended, asked once after its end; None while it runs."""
        self._line.send(json.dumps(pid).encode())
        status: int | None = json.loads(self._line.recv(_LINE_BYTES))
        return status

    def close(self) -> None:
        """End it."""
        self._line.close()
        self._process.wait(10)


@contextmanager
def forks() -> Iterator[Forks]:
    """For as long as commands are to be started."""
    made = Forks()
    try:
        yield made
    finally:
        made.close()


def _import_all() -> None:
    for found in pkgutil.walk_packages(undiced.__path__, "undiced."):
        if not found.name.startswith(_LEFT_OUT):
            importlib.import_module(found.name)
    for name in _OTHERS:
        importlib.import_module(name)
    gc.freeze()  # what the server collects is what it has made itself


def _attend(line: socket.socket) -> None:
    """Fork, and tell how forks ended, until nobody asks any more; what runs then is ended."""
    living = set[int]()
    while True:
        asked, descriptors, _, _ = socket.recv_fds(line, _LINE_BYTES, 1)
        if not asked:
            for left in living:
                os.kill(left, signal.SIGKILL)
            return
        if not descriptors:
            pid, status = os.waitpid(json.loads(asked), os.WNOHANG)
            living.discard(pid)
            line.send(json.dumps(os.waitstatus_to_exitcode(status) if pid else None).encode())
            continue
        words, environment = json.loads(asked)
        pid = os.fork()
        if not pid:
            line.close()
            _become(descriptors[0], words, environment)
        os.close(descriptors[0])
        living.add(pid)
        line.send(str(pid).encode())


def _become(output: int, words: list[str], environment: dict[str, str]) -> None:
    """Be the command."""
    from undiced.cli import main

    os.dup2(output, 1)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["undiced", *words]
    status = 1
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    _import_all()
    line = socket.socket(fileno=int(sys.argv[1]))
    line.send(b"ready")
    _attend(line)
