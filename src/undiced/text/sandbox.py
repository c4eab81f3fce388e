"""Sandbox: the processes in which chat templates run, seen from outside. Knows sockets and time; no template.

A template comes with a model's file, and no limit inside a process holds against everything that a template may do to
it. So it runs in a small process that may die: that costs one request, and the next one starts another process.
Nothing that such a process says is trusted: its answers have one type and a bounded length.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence

import msgspec

from undiced.core.errors import UnavailableError

ANSWER_S = 20.0  # by the clock; the process itself has a limit of processor time
MAX_ANSWER_BYTES = 64 << 20
_LANES = 2  # one for long conversations, of which the server takes one at a time, and one for the others
_HEAD = struct.Struct("<Q")
_KEPT = ("PATH", "LD_LIBRARY_PATH", "TZ", "TZDIR", "HOME", "VIRTUAL_ENV")
_REMEDY = "Try again in a few seconds."

Setup = tuple[str, str | None, Mapping[str, object], Sequence[str]]  # template, one for tools, tokens, control names


class Reply(msgspec.Struct, array_like=True):
    """What the process answers: an error if `error` is not empty, else the prompt and where to cut it.

    Attributes:
        text: the prompt. cuts: places in it, rising.
        variables: in the first answer, the names that a request may set. documents, tools: there, whether any are read.
    """

    error: str = ""
    remedy: str = ""
    param: str | None = None
    text: str = ""
    cuts: list[int] = []
    variables: list[str] = []
    documents: bool = False
    tools: bool = False

    @property
    def pieces(self) -> list[str]:
        """The text between the cuts."""
        ends = [*self.cuts, len(self.text)]
        return [self.text[start:end] for start, end in zip([0, *self.cuts], ends, strict=True)]


class DiedError(Exception):
    """The process did not answer; the message says why."""


class Sandbox:
    """At most two processes for one model's templates; each serves one request at a time."""

    def __init__(self, setup: bytes) -> None:
        """setup: the first request of every process."""
        self._setup = setup
        self._idle: list[_Process] = []
        self._turns = threading.BoundedSemaphore(_LANES)
        self._closed = False
        weakref.finalize(self, _end_all, self._idle)  # for those who forget to close it

    def open(self) -> Reply:
        """The answer to the set-up.

        Raises DiedError: the template ends every process. UnavailableError: there can be no process.
        """
        with self._turns:
            process = _Process()
            reply = process.ask(self._setup)
            self._put(process)
        return reply

    def ask(self, request: bytes) -> Reply:
        """The answer to one request; may wait for others. Raises as `open` does."""
        with self._turns:
            process = self._take()
            reply = process.ask(request)
            self._put(process)
        return reply

    def close(self) -> None:
        """End the processes; idempotent. Requests that run end their own."""
        self._closed = True
        _end_all(self._idle)

    def _take(self) -> _Process:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            process.end()
        process = _Process()
        process.ask(self._setup)
        return process

    def _put(self, process: _Process) -> None:
        self._idle.append(process)
        if self._closed:
            self.close()


def _end_all(processes: list[_Process]) -> None:
    while processes:
        processes.pop().end()


class _Process:
    """One process, from its start to its end."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", "undiced.text.sandbox_process"]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        try:
            self._link, theirs = socket.socketpair()
            with theirs:  # a group of its own: Ctrl-C at the terminal is not for it
                self._popen = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    process_group=0,
                )
        except OSError as error:
            raise UnavailableError(f"No process for chat templates can be started: {error}.", remedy=_REMEDY) from None

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def ask(self, request: bytes) -> Reply:
        """Raises DiedError, and ends the process, unless it answers in time."""
        try:
            deadline_s = time.monotonic() + ANSWER_S
            self._link.settimeout(ANSWER_S)
            send(self._link, request)
            return msgspec.msgpack.decode(receive(self._link, deadline_s), type=Reply)
        except TimeoutError:
            self.end()
            raise DiedError("it takes too long") from None
        except (OSError, EOFError, ValueError, MemoryError, msgspec.MsgspecError) as error:
            raise DiedError(self._last_words(error)) from None
        except BaseException:
            self.end()
            raise

    def _last_words(self, error: Exception) -> str:
        if isinstance(error, OSError | EOFError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(1.0)
        status = self._popen.poll()
        self.end()
        if status == -signal.SIGXCPU:
            return "it takes too long"
        if status is None:
            return "its answer is too long or damaged"
        return f"it ends the process that renders it (status {status})"

    def end(self) -> None:
        """Kill it, if it still runs."""
        self._link.close()
        self._popen.kill()
        self._popen.wait()


def send(link: socket.socket, body: bytes) -> None:
    """Send a frame. Raises OSError, TimeoutError."""
    link.sendall(_HEAD.pack(len(body)))
    link.sendall(body)


def receive(link: socket.socket, deadline_s: float | None = None) -> bytes:
    """Receive a frame; with a deadline, a bounded one.

    Raises OSError; EOFError: the other side is gone; ValueError: too long; TimeoutError.
    """
    (length,) = _HEAD.unpack(_exactly(link, _HEAD.size, deadline_s))
    if deadline_s is not None and length > MAX_ANSWER_BYTES:
        raise ValueError("the frame is too long")
    return bytes(_exactly(link, length, deadline_s))


def _exactly(link: socket.socket, count: int, deadline_s: float | None) -> bytearray:
    data, have = bytearray(count), 0
    with memoryview(data) as view:
        while have < count:
            if deadline_s is not None:
                link.settimeout(max(0.001, deadline_s - time.monotonic()))
            got = link.recv_into(view[have:])
            if not got:
                raise EOFError
            have += got
    return data
