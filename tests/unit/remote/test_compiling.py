"""A grammar that is still compiled holds up nobody: not the streams that run, not those who leave, not what is said of
the request meanwhile.
"""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake import FakeBackend

from undiced.core.errors import EngineError, InvalidRequestError
from undiced.remote.compiling import Compiling
from undiced.remote.engine_process import serve
from undiced.remote.frames import Accepted, Cancel, EndThought, Refused, Step, Stop, Submit, client_reader, encode
from undiced.remote.link import Link
from undiced.remote.pulse import Pulse
from undiced.remote.spec import EngineSpec
from undiced.serve import GREEDY, Delta, Request
from undiced.serve.guide import Guide
from undiced.serve.loop import EngineLoop

HERE = f"{__name__}:opened"
END = (8, 9)
WAIT_S = 10.0


class Only:
    """A matcher of one token, for ever."""

    def fill(self, row: NDArray[np.int32]) -> bool:
        row[:] = 0
        row[0] = 1 << 5
        return True

    def accept(self, tokens: list[int]) -> bool:
        return tokens == [5] * len(tokens)

    def forced(self) -> list[int]:
        return []

    finished = False
    cost_s = 0.0


class Slow:
    """Grammars that are compiled when a test lets them, and by whom."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.compiled: list[tuple[str, str]] = []  # the grammar, and the thread
        self.copies: dict[str, int] = {}
        self.trouble: BaseException | None = None

    def matcher(self, grammar: str) -> Only:
        if (found := self.known(grammar)) is None:
            self.begun.set()
            assert self.go.wait(WAIT_S)
            if self.trouble is not None:
                raise self.trouble
            self.compiled.append((grammar, threading.current_thread().name))
            self.copies[grammar] = 2
            found = self.known(grammar)
        assert found is not None
        return found

    def known(self, grammar: str) -> Only | None:
        if not self.copies.get(grammar):
            return None
        self.copies[grammar] -= 1
        return Only()


SLOW = Slow()


def opened(options: object, vocab: int) -> Slow:
    return SLOW


class Engine:
    """The loop of an engine process on a thread, and the other end of its link."""

    def __init__(self) -> None:
        ours, self.other = socket.socketpair()
        beats = socket.socketpair()
        self.loop = EngineLoop(FakeBackend(step_s=0.0005, sleep=True))
        self.compiling = Compiling(EngineSpec(grammars=HERE), 1000)
        self.link, self._pulse = Link(ours), Pulse(beats[0])
        self._sockets = (self.other, *beats)
        self._reader = client_reader()
        self.deltas: list[Delta] = []
        self.accepted: list[str] = []
        self.refused: dict[str, Refused] = {}
        self.thread = threading.Thread(
            target=serve, args=(self.loop, self.link, self._pulse, self.compiling), daemon=True
        )
        self.thread.start()

    def send(self, *messages: object) -> None:
        self.other.sendall(b"".join(encode(one) for one in messages))  # type: ignore[arg-type]

    def until(self, condition: Callable[[], object]) -> None:
        """Read until something is so."""
        end_s = time.monotonic() + WAIT_S
        self.other.settimeout(0.05)
        while not condition():
            assert time.monotonic() < end_s, "it did not come to that"
            try:
                messages = list(self._reader.feed(self.other.recv(1 << 16)))
            except TimeoutError:
                continue
            for message in messages:
                if isinstance(message, Step):
                    self.deltas += message.deltas
                elif isinstance(message, Accepted):
                    self.accepted.append(message.request_id)
                elif isinstance(message, Refused):
                    self.refused[message.request_id] = message

    def tokens(self, name: str) -> list[int]:
        return [token for delta in self.deltas if delta.request_id == name for token in delta.tokens]

    def last(self, name: str) -> Delta | None:
        return next((one for one in self.deltas if one.request_id == name and one.usage), None)

    def close(self) -> None:
        SLOW.go.set()
        self.send(Stop())
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()
        for one in self._sockets:
            one.close()
        self.link.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    global SLOW
    SLOW = Slow()
    made = Engine()
    yield made
    made.close()


def submit(name: str, guide: Guide | None = None, most: int = 20) -> Submit:
    return Submit(Request(name, (1, 2, 3), most, GREEDY, guide=guide), time.perf_counter())


def in_memory() -> set[str]:
    """Ids of the requests that something still holds."""
    gc.collect()
    return {one.id for one in gc.get_objects() if isinstance(one, Request)}


def test_streams_go_on_while_a_grammar_is_compiled_and_no_step_ever_compiles_one(engine: Engine) -> None:
    engine.send(submit("free", most=4000))
    engine.until(lambda: engine.tokens("free"))
    engine.send(submit("held", Guide("a")))
    assert SLOW.begun.wait(WAIT_S)
    had = len(engine.tokens("free"))
    engine.send(submit("later"))
    engine.until(lambda: engine.last("later") and len(engine.tokens("free")) > had + 100)
    assert not engine.tokens("held") and "held" not in engine.accepted and not SLOW.compiled
    SLOW.go.set()
    engine.until(lambda: engine.last("held"))
    assert engine.tokens("held") == [5] * 20
    engine.send(Cancel("free"))
    engine.until(lambda: engine.last("free"))


def test_copies_that_run_out_are_compiled_on_the_thread_too(engine: Engine) -> None:
    """Two copies a compiling, of which the requests that came meanwhile take more."""
    SLOW.go.set()
    engine.send(*(submit(f"{at}", Guide("a"), most=3) for at in range(7)))
    engine.until(lambda: all(engine.last(f"{at}") for at in range(7)))
    assert [name for name, _ in SLOW.compiled] == ["a"] * 4
    assert {thread for _, thread in SLOW.compiled} == {"grammars"}


def test_a_known_grammar_waits_for_none_that_is_compiled(engine: Engine) -> None:
    SLOW.go.set()
    engine.send(submit("first", Guide("a")))
    engine.until(lambda: engine.last("first"))
    SLOW.go.clear()
    engine.send(submit("slow", Guide("b")), submit("second", Guide("a")))
    engine.until(lambda: engine.last("second"))
    assert engine.last("slow") is None


def test_who_leaves_while_its_grammar_is_compiled_is_let_go_at_once_and_never_starts(engine: Engine) -> None:
    engine.send(submit("gone", Guide("a")), submit("left", Guide("b")), submit("stays", Guide("c")))
    assert SLOW.begun.wait(WAIT_S)
    assert {"gone", "left", "stays"} <= in_memory()
    engine.send(Cancel("gone"), Cancel("left"))
    engine.until(lambda: engine.last("gone") and engine.last("left"))
    assert not {"gone", "left"} & in_memory() and "stays" in in_memory(), "while the first is still compiled"
    for name in ("gone", "left"):
        last = engine.last(name)
        assert last is not None and last.usage is not None and last.finish_reason == "cancelled"
        assert not engine.tokens(name) and last.usage.completion_tokens == 0
    assert engine.loop.stats().steps == 0 and engine.loop.scheduler.idle
    SLOW.go.set()
    engine.until(lambda: engine.last("stays"))
    assert [name for name, _ in SLOW.compiled] == ["a", "c"], "nobody wanted b"
    assert engine.loop.stats().steps == 20 and not engine.compiling.waiting


def test_a_thought_that_is_ended_before_it_begins_ends_where_it_begins(engine: Engine) -> None:
    guide = Guide("a", thinking=True, think_end=END)
    engine.send(submit("held", guide), submit("thinks", Guide("b", thinking=True, think_end=END)))
    assert SLOW.begun.wait(WAIT_S)
    engine.send(EndThought("held"))
    time.sleep(0.02)
    SLOW.go.set()
    engine.until(lambda: engine.last("held") and engine.last("thinks"))
    assert engine.tokens("held") == [*END, *[5] * 18]
    assert tuple(engine.tokens("thinks")[:2]) != END


@pytest.mark.parametrize("trouble", [InvalidRequestError("No grammar.", remedy="Mend it."), ValueError("a bug")])
def test_a_grammar_that_can_not_be_compiled_refuses_its_request_alone(engine: Engine, trouble: Exception) -> None:
    SLOW.trouble = trouble
    engine.send(submit("bad", Guide("a")))
    assert SLOW.begun.wait(WAIT_S)
    SLOW.go.set()
    engine.until(lambda: "bad" in engine.refused)
    error = engine.refused["bad"].failure.error()
    assert isinstance(error, InvalidRequestError if isinstance(trouble, InvalidRequestError) else EngineError)
    SLOW.trouble = None
    engine.send(submit("good", Guide("b")))
    engine.until(lambda: engine.last("good"))
