"""From engine events to pieces of answer: detokenizing, stop strings, log probabilities, finish reasons. Knows no JSON
and no HTTP.

The text of a sequence exists only here; below this line there are token ids.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.api.ports import Engine, TextStream, Tokenizer
    from undiced.serve import Delta, Request, UsageEvent

LOGPROB_MIN = -9999.0  # stands for minus infinity, which JSON can't say; the number OpenAI uses


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token and its log-probability.

    Attributes:
        text: for display. spelled: exact, may be part of a character.
        rivals: the likeliest tokens in its place.
        offset: characters of the generated text before it; before the character that it is a part of, if it is one.
    """

    text: str
    spelled: bytes
    logprob: float
    rivals: tuple[TokenLogprob, ...] = ()
    offset: int = 0


class Offsets:
    """Where the tokens of one text begin, in characters."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._chars = 0

    def take(self, spelled: bytes) -> int:
        """The next token; returns its offset."""
        offset = self._chars
        self._chars += len(self._decoder.decode(spelled))
        return offset


@dataclass(slots=True)
class Piece:
    """A piece of one choice of an answer. `usage` is set on the last piece only; `tokens` counts the choice's tokens so
    far.
    """

    index: int
    text: str
    logprobs: list[TokenLogprob] | None
    tokens: int
    usage: UsageEvent | None = None


@dataclass(slots=True)
class Choice:
    """One sequence on its way to text.

    Attributes:
        text: turns tokens into text and finds stop strings.
        echo: text that goes before the generated text.
        tokens: generated tokens that count so far.
        stopped: a stop string was completed; whatever comes after it is dropped.
        offsets: of tokens whose log-probabilities are asked for.
    """

    index: int
    request: Request
    tokenizer: Tokenizer
    text: TextStream
    echo: str = ""
    tokens: int = 0
    stopped: bool = False
    offsets: Offsets = field(default_factory=Offsets)

    def push(self, delta: Delta, engine: Engine) -> Piece:
        """Take one delta of the engine. Tells the engine when a stop string was completed, and at which token."""
        out, self.echo = self.echo, ""
        rows: list[TokenLogprob] | None = [] if self.request.sampling.logprobs >= 0 else None
        ending = delta.stop_token is not None and bool(delta.tokens)
        if not self.stopped:
            for at, token in enumerate(delta.tokens[:-1] if ending else delta.tokens):
                self.tokens += 1
                text, self.stopped = self.text.push(token)
                out += text
                if rows is not None:
                    rows.append(self._logprob(delta, at))
                if self.stopped:
                    engine.finish(self.request.id, at_token=self.tokens, reason="stop")
                    break
        if delta.usage is None:
            return Piece(self.index, out, rows, self.tokens)
        usage = self._settle(delta.usage)
        return Piece(self.index, out if self.stopped else out + self.text.flush(), rows, usage.completion_tokens, usage)

    def _settle(self, usage: UsageEvent) -> UsageEvent:
        """The account of the sequence: if it ended by itself before it heard of the stop string, the tokens after that
        don't count.
        """
        return usage.cut(self.tokens, "stop") if self.stopped else usage

    def _logprob(self, delta: Delta, at: int) -> TokenLogprob:
        rivals = tuple(self._row(token, value) for token, value in (delta.top[at] if delta.top else ()))
        row = self._row(delta.tokens[at], delta.logprobs[at])
        return replace(row, rivals=rivals, offset=self.offsets.take(row.spelled))

    def _row(self, token: int, value: float) -> TokenLogprob:
        return TokenLogprob(
            self.tokenizer.token_text(token), self.tokenizer.token_bytes(token), max(LOGPROB_MIN, value)
        )


@dataclass(slots=True)
class Tally:
    """What a whole request used; made from usage events and from nothing else, one event a sequence.

    Sequences of one request run side by side, so their times are not summed: the longest counts.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    queue_s: float = 0.0
    prompt_s: float = 0.0
    completion_s: float = 0.0
    total_s: float = 0.0
    events: list[UsageEvent] = field(default_factory=list)

    def add(self, event: UsageEvent) -> None:
        """Count a sequence; the prompt only once where several choices share it."""
        self.events.append(event)
        if not event.prompt_shared:
            self.prompt_tokens += event.prompt_tokens
            self.cached_tokens += event.cached_tokens
        self.completion_tokens += event.completion_tokens
        self.queue_s = max(self.queue_s, event.queue_s)
        self.prompt_s = max(self.prompt_s, event.prompt_s)
        self.completion_s = max(self.completion_s, event.completion_s)
        self.total_s = max(self.total_s, event.total_s)
