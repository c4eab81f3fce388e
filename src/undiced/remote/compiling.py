"""Compiling: requests whose grammars are compiled on a thread, so that nobody's tokens wait for it.

The first of them also loads the vocabulary, which takes half a second; an engine that is never asked never does. What
is said of a request meanwhile is kept until it begins; one that nobody reads any more is let go at once.
"""

from __future__ import annotations

import importlib
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import structs

from undiced.core.errors import EngineError, UndicedError

if TYPE_CHECKING:
    from undiced.remote.frames import Submit
    from undiced.remote.spec import EngineSpec
    from undiced.serve.guide import Grammars, Matcher

POLL_S = 0.001  # how long a loop that has nothing else to do sleeps while a grammar is compiled


@dataclass(slots=True)
class Waiting:
    """A request and its grammar.

    Attributes:
        matcher: at the grammar's beginning, when it is compiled. error: why it can't be.
    """

    submit: Submit
    matcher: Matcher | None = None
    error: UndicedError | None = None


class Compiling:
    """The grammars of an engine process, opened when they are needed. The loop's thread calls; a thread of its own
    compiles, and hands out matchers: the loop is never given a grammar to compile.

    Args:
        vocab: rows of the engine's logits.
    """

    def __init__(self, spec: EngineSpec, vocab: int) -> None:
        self._spec, self._vocab = spec, vocab
        self._grammars: Grammars | None = None
        self._waiting: dict[str, Waiting] = {}
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def known(self, grammar: str) -> Matcher | None:
        """A matcher, if that takes no time."""
        return None if self._grammars is None else self._grammars.known(grammar)

    def wait(self, submit: Submit) -> None:
        """Compile a request's grammar; it comes out of `ready`."""
        self._waiting[submit.request.id] = Waiting(submit)
        self._asked.put(submit.request.id)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="grammars", daemon=True)
            self._thread.start()

    def give_up(self, request_id: str) -> Submit | None:
        """Let a request go if it waits, and return it."""
        found = self._waiting.pop(request_id, None)
        return None if found is None else found.submit

    def end_thought(self, request_id: str) -> None:
        """A request that waits shall not think when it begins."""
        if (found := self._waiting.get(request_id)) is not None and (guide := found.submit.request.guide) is not None:
            found.submit.request = structs.replace(found.submit.request, guide=structs.replace(guide, budget=0))

    def ready(self) -> list[Waiting]:
        """Requests that wait no longer."""
        found = []
        while not self._done.empty():
            if (one := self._waiting.pop(self._done.get(), None)) is not None:
                found.append(one)
        return found

    def _work(self) -> None:
        while True:
            name = self._asked.get()
            if (one := self._waiting.get(name)) is not None and (guide := one.submit.request.guide) is not None:
                del one  # it may be given up meanwhile
                matcher, error = self._compiled(guide.grammar)
                if (one := self._waiting.get(name)) is not None:
                    one.matcher, one.error = matcher, error
            self._done.put(name)
            del one, name

    def _compiled(self, grammar: str) -> tuple[Matcher | None, UndicedError | None]:
        try:
            if self._grammars is None:
                module, _, function = self._spec.grammars.partition(":")
                self._grammars = getattr(importlib.import_module(module), function)(self._spec.options, self._vocab)
            assert self._grammars is not None
            return self._grammars.matcher(grammar), None
        except UndicedError as known:
            return None, known
        except BaseException as bug:  # a panic of the library is no Exception, and the thread has to go on
            return None, EngineError(f"The grammar could not be compiled: {type(bug).__name__}: {bug}")
