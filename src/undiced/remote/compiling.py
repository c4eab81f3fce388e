"""Compiling: requests whose grammars are compiled on a thread, so that nobody's tokens wait for it.

The first of them also loads the vocabulary, which takes half a second; an engine that is never asked never does.
"""

from __future__ import annotations

import importlib
import queue
import threading
from typing import TYPE_CHECKING

from undiced.core.errors import EngineError, UndicedError

if TYPE_CHECKING:
    from undiced.remote.frames import Submit
    from undiced.remote.spec import EngineSpec
    from undiced.serve.guide import Grammars, Matcher

POLL_S = 0.001  # how long a loop that has nothing else to do sleeps while a grammar is compiled


class Compiling:
    """The grammars of an engine process, opened when they are needed.

    Args:
        vocab: rows of the engine's logits.
    """

    def __init__(self, spec: EngineSpec, vocab: int) -> None:
        self._spec, self._vocab = spec, vocab
        self._grammars: Grammars | None = None
        self._asked: queue.SimpleQueue[Submit] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Submit, UndicedError | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._left: set[str] = set()  # requests that nobody reads any more
        self._names: set[str] = set()  # of those that wait
        self.waiting = 0

    def takes(self, submit: Submit) -> bool:
        """Whether the request has to wait for its grammar; it comes out of `ready`."""
        guide = submit.request.guide
        if guide is None or not guide.grammar or (self._grammars is not None and self._grammars.knows(guide.grammar)):
            return False
        self.waiting += 1
        self._names.add(submit.request.id)
        self._asked.put(submit)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="grammars", daemon=True)
            self._thread.start()
        return True

    def cancel(self, request_id: str) -> None:
        """Nobody reads a request any more that may still be waiting."""
        if request_id in self._names:
            self._left.add(request_id)

    def left(self, request_id: str) -> bool:
        """Whether `cancel` was called while the request waited; asked once."""
        found = request_id in self._left
        self._left.discard(request_id)
        return found

    def ready(self) -> list[tuple[Submit, UndicedError | None]]:
        """Requests whose grammars are compiled, or why one can't be."""
        found = []
        while self.waiting and not self._done.empty():
            submit, error = self._done.get()
            self.waiting -= 1
            self._names.discard(submit.request.id)
            found.append((submit, error))
        return found

    def matcher(self, grammar: str) -> Matcher:
        """See `serve.guide.Grammars`."""
        return self._opened().matcher(grammar)

    def knows(self, grammar: str) -> bool:
        """See `serve.guide.Grammars`."""
        return self._opened().knows(grammar)

    def compile(self, grammar: str) -> None:
        """See `serve.guide.Grammars`."""
        self._opened().compile(grammar)

    def _opened(self) -> Grammars:
        if self._grammars is None:
            module, _, function = self._spec.grammars.partition(":")
            self._grammars = getattr(importlib.import_module(module), function)(self._spec.options, self._vocab)
        return self._grammars

    def _work(self) -> None:
        while True:
            submit = self._asked.get()
            error: UndicedError | None = None
            try:
                guide = submit.request.guide
                if guide is not None and submit.request.id not in self._left and not self.knows(guide.grammar):
                    self.compile(guide.grammar)
            except UndicedError as known:
                error = known
            except BaseException as bug:  # a panic of the library is no Exception, and the thread has to go on
                error = EngineError(f"The grammar could not be compiled: {type(bug).__name__}: {bug}")
            self._done.put((submit, error))
