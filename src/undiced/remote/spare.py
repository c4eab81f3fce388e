"""Spare: an engine process that is started before it is known what it shall run: it imports what it is likely to need,
and waits. Whoever compiles a model meanwhile finds it ready.

Light to import, because it is the first thing that a server does. Two socket pairs join the process to us, made before
it starts: no name anywhere leads to them, so nobody else can connect and nothing is left behind when both are killed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from undiced.remote.spec import EngineSpec

HOST = ("undiced.engine.host", "undiced.checkpoint", "undiced.program.file")  # what `engine.load.open_host` needs


class Spare:
    """A started process. It dies with the thread that made it, and when it is closed before it was taken.

    Args:
        modules: that it imports while it waits. without: names of its environment that it shall not have.

    Attributes:
        process: its standard input takes the spec. spec: what it was told, if it was.
        link: our end of the socket for frames; pulse: of the one for beats.

    Raises:
        OSError: the system refuses.
    """

    def __init__(self, modules: Sequence[str] = (), without: Collection[str] = ()) -> None:
        self.link, link = socket.socketpair()
        self.pulse, pulse = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._taken = False
        self.spec: EngineSpec | None = None
        self._writer: threading.Thread | None = None
        try:
            with link, pulse:
                self.process = _start(link.fileno(), pulse.fileno(), modules, without)
        except OSError:
            self.link.close()
            self.pulse.close()
            raise

    def tell(self, spec: EngineSpec) -> None:
        """What it runs, before it is taken: for exactly that."""
        from undiced.remote.spec import encode_spec

        self.spec = spec
        self._writer = threading.Thread(target=self._write, args=(encode_spec(spec),), name="engine-spec", daemon=True)
        self._writer.start()

    def _write(self, document: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError), self.process.stdin as pipe:  # it may have died
            pipe.write(document)

    def take(self) -> None:
        """It is somebody's from now on, who ends it."""
        self._taken = True

    def close(self) -> None:
        """End it if nobody has taken it; idempotent."""
        if self._taken:
            return
        self._taken = True
        self.process.kill()
        if self._writer is not None:
            self._writer.join()
            self.process.stdin = None  # closed by the writer
        self.process.communicate()
        self.link.close()
        self.pulse.close()


def _start(link: int, pulse: int, modules: Sequence[str], without: Collection[str]) -> subprocess.Popen[bytes]:
    # -P keeps a module in the current directory from being taken for one of ours.
    command = [sys.executable, "-P", "-m", "undiced.remote.engine_process", str(link), str(pulse), *modules]
    # in a group of its own: Ctrl-C at the terminal is for the server, which ends the engine when it is done with it
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
        pass_fds=(link, pulse),
        env={name: value for name, value in os.environ.items() if name not in without},
    )
