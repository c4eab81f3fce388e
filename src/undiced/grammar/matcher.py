"""LlGrammars: grammars by llguidance over one vocabulary, compiled once and then copied for each sequence."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError
from undiced.grammar.bounds import first_step, parser_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from llguidance import LLMatcher, LLTokenizer
    from numpy.typing import NDArray

_BLEND = 0.25  # weight of a mask's time in the cost of the next one
_KEPT = 64  # compiled grammars
_COPIES = 16  # of each, before it is compiled anew
# Runs of a string's characters: tokens within one that fits into what is left of a string need no look of their own.
# In steps of two, for many strings are bounded: a place in a string of at most 20 takes 35 us, with the library's own
# steps of 10, 30 and no bound 270.
_CHARACTER = r'[^"\\\x00-\x1F\x7F]'
_RUNS = (
    r"[\x20\x0A\x0D\x09]+",
    *(f"{_CHARACTER}{{1,{n}}}" for n in (2, 4, 6, 8, 10, 12, 15, 20, 25, 30)),
    f"{_CHARACTER}+",
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that a model draws from.

    Attributes:
        tokens: what each id spells; of control tokens their names. Ids beyond them are never drawn.
        control: ids that no text produces; a grammar reaches them by name alone.
        ends: ids that end an answer, at least one.
        encode: the ids of a text. The library asks it for the tokens of forced text; masks are wrong without it.
        size: of the logits, which may have more rows than there are tokens.
    """

    tokens: Sequence[bytes]
    control: Sequence[int]
    ends: Sequence[int]
    encode: Callable[[str], list[int]]
    size: int


class LlGrammars:
    """Makes matchers; see the file's head. Any thread may call.

    Copies share what the library learns of a grammar, and its bound on that. So one is compiled anew after a number of
    copies, and when a copy has failed.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokenizer = _tokenizer(vocabulary)
        self._compiled: OrderedDict[str, tuple[LLMatcher, int]] = OrderedDict()  # and how many copies are left
        self._lock = threading.Lock()

    def matcher(self, grammar: str) -> LlMatcher:
        """See `serve.guide.Grammars`.

        Raises:
            InvalidRequestError: it is no grammar, or too large.
        """
        while (found := self.known(grammar)) is None:
            self.prepare(grammar)
        return found

    def known(self, grammar: str) -> LlMatcher | None:
        """See `serve.guide.Grammars`."""
        found = self._copy(grammar)
        return None if found is None else LlMatcher(found, partial(self._forget, grammar))

    def prepare(self, grammar: str) -> None:
        """See `serve.guide.Grammars`."""
        if grammar in self._compiled:
            return
        from llguidance import LLMatcher

        compiled = LLMatcher(self._tokenizer, grammar, log_level=0, limits=parser_limits())
        if problem := first_step(compiled):  # over this vocabulary; what it learns is its copies' too
            raise refused(problem)
        with self._lock:
            self._compiled[grammar] = compiled, _COPIES
            while len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)

    def _copy(self, grammar: str) -> LLMatcher | None:
        with self._lock:
            found = self._compiled.pop(grammar, None)
            if found is None:
                return None
            compiled, left = found
            if left > 1:
                self._compiled[grammar] = compiled, left - 1  # the latest one used
            return compiled.deep_copy()

    def _forget(self, grammar: str) -> None:
        with self._lock:
            self._compiled.pop(grammar, None)


class LlMatcher:
    """Where one sequence stands. What the library does that it should not, a panic too, ends this sequence alone."""

    __slots__ = ("_failed", "_forget", "_matcher", "cost_s")

    def __init__(self, matcher: LLMatcher, forget: Callable[[], None]) -> None:
        self._matcher = matcher
        self._forget = forget
        self._failed = False
        self.cost_s = 0.0

    def fill(self, row: NDArray[np.int32]) -> bool:
        """See `serve.guide.Matcher`."""
        begun = time.perf_counter()
        try:
            self._matcher.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)
        except BaseException as error:
            self._stumble(error)
        self.cost_s += (time.perf_counter() - begun - self.cost_s) * _BLEND
        # The library allows the end where it gives up.
        return self._checked(not self._matcher.is_stopped() or self._matcher.is_accepting())

    def accept(self, tokens: list[int]) -> bool:
        """See `serve.guide.Matcher`."""
        try:
            taken: bool = self._matcher.consume_tokens(tokens)
        except BaseException as error:
            self._stumble(error)
            return False
        return self._checked(taken)

    def forced(self) -> list[int]:
        """See `serve.guide.Matcher`."""
        return [] if self._failed else self._matcher.compute_ff_tokens()

    @property
    def finished(self) -> bool:
        """See `serve.guide.Matcher`."""
        return self._failed or self._matcher.is_stopped()

    def _checked(self, fine: bool) -> bool:
        if self._failed or not fine or self._matcher.is_error():
            self._failed = True
            self._forget()
        return not self._failed

    def _stumble(self, error: BaseException) -> None:
        """A panic is no Exception."""
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
            raise error
        self._failed = True
        self._forget()


def refused(message: str) -> InvalidRequestError:
    """The library's word on a grammar, as ours."""
    return InvalidRequestError(
        f"The grammar cannot be used: {' '.join(message.split())[:300]}.", remedy="Simplify or correct it."
    )


def _tokenizer(vocabulary: Vocabulary) -> LLTokenizer:
    from llguidance import LLTokenizer, TokenizerWrapper

    ends = list(vocabulary.ends)
    spelled = TokenizerWrapper(_Spelled(vocabulary))
    return LLTokenizer(spelled, n_vocab=vocabulary.size, eos_token=ends, slices=list(_RUNS))


class _Spelled:
    """A vocabulary by the library's names."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.eos_token_id = vocabulary.ends[0]
        self.bos_token_id = None
        self.tokens = [
            *vocabulary.tokens,
            *[b""] * (vocabulary.size - len(vocabulary.tokens)),
        ]  # no text leads to those
        self.special_token_ids = list(vocabulary.control)
        self._encode = vocabulary.encode

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise TypeError("a text is expected")  # the library asks whether bytes would do
        return self._encode(text)
