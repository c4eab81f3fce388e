"""The process in which one model's chat templates are compiled and rendered: `python -m undiced.text.sandbox_process`.

Reads requests from the socket that is its standard input and answers each on it. It can open no file and no socket,
start no process, and has bounded memory and time; it ends when the other side is gone. Whatever a template does to it
costs one request, see sandbox.py.
"""

from __future__ import annotations

import marshal
import resource
import signal
import socket
import sys
import time
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from pathlib import Path

import msgspec

from undiced.core.errors import InvalidRequestError, UndicedError
from undiced.text.guard import Guard
from undiced.text.reading import left_out, probe, said_last, shaped, tells_of_tools
from undiced.text.renderer import Renderer, Scene
from undiced.text.sandbox import Reply, Setup, receive, send

MEMORY_BYTES = 512 << 20  # beyond what the process has when it starts
CPU_S = 3  # for one request; the longest known template takes a few milliseconds
_TOOLS = [{"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}]


class Room:
    """One model's templates, what they read, and the guard over what users write."""

    def __init__(self, setup: Setup) -> None:
        """Raises CheckpointError for templates that cannot be used."""
        source, tool_source, tokens, names = setup
        self._renderer = Renderer(source, tool_source, tokens)
        self._guard = Guard(names)
        self._reads = probe(self._renderer)
        self._tool_reads = self._reads if tool_source is None else probe(self._renderer, _TOOLS)

    def opened(self) -> Reply:
        """The answer to the set-up."""
        tools = tells_of_tools(self._renderer, self._tool_reads)
        return Reply(variables=sorted(self._renderer.variables), documents=self._renderer.documents, tools=tools)

    def render(self, scene: Scene, continues: bool) -> Reply:
        """The prompt, cut where a control token's name must not be read.

        continues: it ends inside the last message.
        Raises InvalidRequestError where the template refuses, fails, or leaves out what was said.
        """
        guard, messages = self._guard.value, scene.messages
        guarded = replace(
            scene,
            messages=guard(shaped(messages, self._tool_reads if scene.tools else self._reads)),  # type: ignore[arg-type]
            tools=guard(scene.tools),  # type: ignore[arg-type]
            documents=guard(scene.documents),  # type: ignore[arg-type]
            variables=guard(scene.variables),  # type: ignore[arg-type]
        )
        text, said = self._renderer.render(guarded), guard(messages)
        place = left_out(said, text, self._renderer.sources)  # type: ignore[arg-type]
        if place is not None:
            message = f"The chat template of this model leaves out {place}."
            raise InvalidRequestError(
                message, param=place, remedy="Say it in a message of its own, or of another role."
            )
        text = self._guard.unescaped(text)
        if continues:
            text = cut_behind(text, said_last(said))  # type: ignore[arg-type]
        pieces = [_clean(piece) for piece in self._guard.pieces(text)]
        return Reply(text="".join(pieces), cuts=list(accumulate(map(len, pieces[:-1]))))

    def failed(self, error: UndicedError) -> Reply:
        """The answer that tells of an error; words of a template may quote what was guarded."""
        return Reply(self._guard.plain(_clean(error.message)), error.remedy, error.param)


def cut_behind(text: str, said: str) -> str:
    """`text` up to the end of the last `said` in it; spaces at the end of `said` count if the template kept them.

    Raises InvalidRequestError if it does not occur.
    """
    stripped, whole = said.strip(), said.lstrip()
    at = text.rfind(stripped) if stripped else -1
    if at < 0:
        raise InvalidRequestError(
            "continue_final_message needs a last message with text that the chat template writes as it is.",
            remedy="Leave continue_final_message out.",
            param="continue_final_message",
        )
    return text[: at + len(whole if text.startswith(whole, at) else stripped)]


def _clean(text: str) -> str:
    """Without lone surrogates, which are no text."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not _is_text(text) else text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def confine() -> None:
    """Bounds what this process can take and reach."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.localtime()  # reads the time zone's file
    taken = _taken_bytes()
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(kind, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, taken + MEMORY_BYTES))


def _taken_bytes() -> int:
    """Address space of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()


def allow_cpu() -> None:
    """Let the next request take its time; a signal ends the process when it is up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def answer(room: Room, request: bytes) -> Reply:
    """What is answered to one request."""
    fields, continues, now = marshal.loads(request)
    try:
        return room.render(Scene(**fields, now=datetime.fromisoformat(now)), continues)
    except UndicedError as error:
        return room.failed(error)
    except Exception as error:  # the messages themselves, as by their depth
        message = f"These messages cannot be rendered: {type(error).__name__}."
        return Reply(message, "Send fewer, shorter or flatter messages.", "messages")


def serve(link: socket.socket) -> None:
    """Answers until the other side is gone."""
    allow_cpu()
    try:
        room = Room(marshal.loads(receive(link)))
    except UndicedError as error:
        send(link, msgspec.msgpack.encode(Reply(_clean(error.message), error.remedy)))
        return
    send(link, msgspec.msgpack.encode(room.opened()))
    while True:
        request = receive(link)
        allow_cpu()
        send(link, msgspec.msgpack.encode(answer(room, request)))


def main() -> int:
    """Entry point."""
    link = socket.socket(fileno=0)
    confine()
    try:
        serve(link)
    except (OSError, EOFError):
        return 0  # the other side is gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
