"""Fold: the tokens of one answer, folded to text: whole characters, channels, stop strings, log-probabilities.

Says at which token the answer ends, and nobody else does. Knows no engine, no clock and no wire format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from undiced.text.detokenizer import Detokenizer
from undiced.text.logprobs import PromptRows, Rows, Spelling, TokenLogprob
from undiced.text.stop import StopMatcher

_FIRST_MARK = 0xFDD0

Channel = Literal["content", "reasoning", "tool_call"]


class Run(NamedTuple):
    """A stretch of an answer.

    Attributes:
        text: empty where the channel alone is told, as of a mark, which is in no run.
        name: of the function whose call begins here; what follows in its channel are pieces of the arguments' JSON.
    """

    channel: Channel
    text: str
    name: str = ""


class Channels(Protocol):
    """Tells the channels of one answer apart. Without one, all text is content."""

    @property
    def thinking(self) -> bool:
        """Whether the answer stands inside a thought."""

    @property
    def ended(self) -> bool:
        """Whether the answer ends here, whatever follows."""

    def push(self, token: int, text: str) -> Sequence[Run]:
        """What a token and the text that it completes make certain; control tokens have no text, but an id. Nothing
        where it depends on what follows.
        """

    def flush(self, text: str) -> Sequence[Run]:
        """The end: the last text, of a character that never was complete, and whatever was held back."""


class Tokens(Protocol):
    """Generated tokens as they come; `serve.Delta` is one."""

    @property
    def tokens(self) -> Sequence[int]:
        """The new token ids; a stop token that ended the answer is the last of them."""

    @property
    def logprobs(self) -> Sequence[float]:
        """One per token, if asked for."""

    @property
    def top(self) -> Sequence[Sequence[tuple[int, float]]]:
        """For each token the likeliest in its place, with their log-probabilities, if asked for."""

    @property
    def prompt_logprobs(self) -> Sequence[float]:
        """Of further tokens of the prompt, from its second one on, if asked for."""

    @property
    def prompt_top(self) -> Sequence[Sequence[tuple[int, float]]]:
        """As `top`, for `prompt_logprobs`."""

    @property
    def stop_token(self) -> int | None:
        """The stop token that ended the answer, if one did."""

    @property
    def finish_reason(self) -> str | None:
        """Why no more tokens follow, or None."""


class FoldOptions(msgspec.Struct, frozen=True):
    """How tokens become text.

    Attributes:
        stops: strings that end the answer. They are looked for in its content, not in other channels.
        stop_names: names of control tokens that stand in stop strings, by id: there they match the tokens.
        include_stop: the text ends with the stop string, or with the text of the stop token, instead of before it.
        skip_special: control tokens are no text; else their names are.
        continues: the text goes on where its prompt ended.
        min_tokens: in the text of that many tokens nothing stops, nor begins to.
        logprobs: whether pieces have log-probabilities.
        echo: text that goes before the generated text.
        prompt: tokens of that text, if their log-probabilities come too.
        stop_row: the stop token that ends the answer has a log-probability too, so that rows are prompt and answer.
    """

    stops: tuple[str, ...] = ()
    stop_names: Mapping[int, str] = msgspec.field(default_factory=dict)
    include_stop: bool = False
    skip_special: bool = True
    continues: bool = False
    min_tokens: int = 0
    logprobs: bool = False
    echo: str = ""
    prompt: Sequence[int] = ()
    stop_row: bool = False


_USUAL = FoldOptions()


class Piece(msgspec.Struct, gc=False):
    """A piece of an answer, of one channel.

    Attributes:
        index: which of the answers to one request.
        logprobs: of the tokens that came with it, or None if nobody asked.
        tokens: the answer's tokens so far.
        finish: why the answer ended; set on the last piece only. stop: the stop string that did, or None.
        name: of the function whose call begins here.
    """

    index: int
    channel: Channel
    text: str
    logprobs: list[TokenLogprob] | None
    tokens: int
    finish: str | None = None
    name: str = ""
    stop: str | None = None


class Fold:
    """State of one answer.

    Attributes:
        tokens: generated tokens that count so far, a stop token included.
        stopped: a stop string was completed, or the only call, by the last of these tokens. Whatever comes after it is
            dropped.
        reasoning: tokens inside of thoughts, their marks included. calls: functions called so far.
    """

    __slots__ = (
        "_channel", "_channels", "_detokenizer", "_echo", "_ending", "_held", "_index", "_marks", "_matcher",
        "_min_tokens", "_named", "_plain", "_prompt", "_rows", "_stop_row", "_stop_text", "_stop_tokens", "_unmark",
        "calls", "reasoning", "stopped", "tokens",
    )  # fmt: skip

    def __init__(
        self,
        tokenizer: Spelling,
        options: FoldOptions = _USUAL,
        *,
        index: int = 0,
        channels: Channels | None = None,
    ) -> None:
        """Raises InvalidRequestError for an empty stop string."""
        self._index = index
        self._detokenizer = Detokenizer(tokenizer, continuation=options.continues, names=not options.skip_special)
        self._marks = _marks(options.stop_names) if options.skip_special else {}
        self._unmark = {ord(mark): None for mark in self._marks.values()}
        self._named = {ord(mark): options.stop_names[token] for token, mark in self._marks.items()}
        self._stop_tokens = {token: name for token, name in options.stop_names.items() if name in options.stops}
        self._ending: str | None = None  # the stop string that is the name of the stop token that ended the answer
        stops = options.stops + _marked(options.stops, options.stop_names, self._marks)
        self._matcher = StopMatcher(stops, include=options.include_stop) if stops else None
        self._rows = Rows(tokenizer, self._detokenizer.spell, len(options.echo)) if options.logprobs else None
        self._prompt = PromptRows(tokenizer, options.prompt, options.echo) if options.prompt else None
        self._stop_row = options.stop_row
        self._channels = channels
        self._stop_text = options.include_stop
        self._min_tokens = options.min_tokens
        self._echo = options.echo
        self._channel: Channel = "content"  # of the latest run
        watched = (self._matcher, self._rows, self._prompt, channels)
        self._plain = not self._marks and all(each is None for each in watched)  # a token is its text, and no more
        self._held: list[TokenLogprob] = []  # rows of tokens whose channel is not known yet
        self.tokens = self.reasoning = self.calls = 0
        self.stopped = False

    @property
    def thinking(self) -> bool:
        """Whether the answer stands inside a thought."""
        return self._channels is not None and self._channels.thinking

    @property
    def stop(self) -> str | None:
        """The stop string that was completed, as the request has it, or None."""
        if self._matcher is None or self._matcher.stop is None:
            return self._ending
        return self._matcher.stop.translate(self._named)

    @property
    def clear(self) -> bool:
        """Whether plain tokens, which are whole characters and end nothing, are just their texts from here on."""
        return self._plain and not self._echo and self._detokenizer.clear

    def passed(self, count: int) -> None:
        """So many plain tokens were told without this fold."""
        self.tokens += count

    def push(self, new: Tokens) -> list[Piece]:
        """Take tokens in; returns what they make certain: a piece at least, or nothing where there is nothing to say.

        With the finish reason goes everything that was held back. After a stop string nothing is taken.
        """
        if self.stopped:
            return []
        tokens, rows = new.tokens, self._rows
        if self._plain and len(tokens) == 1 and new.finish_reason is None and new.stop_token is None and not self._echo:
            self.tokens += 1
            return [Piece(self._index, "content", self._detokenizer.push(tokens[0]), None, self.tokens)]
        pieces = [Piece(self._index, self._channel, self._echo, None if rows is None else [], 0)]
        self._echo = ""
        if self._prompt is not None and (new.prompt_logprobs or not self.tokens):
            pieces[0].logprobs = self._prompt.rows(new.prompt_logprobs, new.prompt_top)
        if new.stop_token is not None:
            self._ending = self._stop_tokens.get(new.stop_token)
        textless = len(tokens) - 1 if new.stop_token is not None and not self._stop_text else len(tokens)
        for at, token in enumerate(tokens):
            self.tokens += 1
            certain = True
            if at < textless:
                certain = self._take(pieces, token)
            elif not self._stop_row:
                break
            if rows is not None:
                self._held.append(rows.row(token, new.logprobs[at], new.top[at] if new.top else ()))
                if certain:
                    self._let_go(pieces)
            if self.stopped:
                break
        if new.finish_reason is not None:
            self._flush(pieces)
            self._let_go(pieces)
        for piece in pieces:
            piece.tokens = self.tokens
        return pieces if tokens or pieces[0].text or pieces[0].logprobs else []

    def _take(self, pieces: list[Piece], token: int) -> bool:
        """Take a token; returns whether it is certain where it belongs."""
        text = self._detokenizer.push(token)
        if self._marks:
            text += self._marks.get(token, "")
        channels = self._channels
        if channels is None:
            if text:
                pieces[-1].text += text if self._matcher is None else self._checked(self._matcher, text)
            return True
        thinking = channels.thinking
        runs = channels.push(token, text)
        self.reasoning += thinking or channels.thinking
        self._spread(pieces, runs)
        self.stopped = self.stopped or (channels.ended and self.tokens > self._min_tokens)
        return bool(runs) or self.stopped

    def _let_go(self, pieces: list[Piece]) -> None:
        """Rows that were held go with what their tokens turned out to be."""
        if self._held:
            pieces[-1].logprobs += self._held  # type: ignore[operator]  # where there are rows, all pieces have
            self._held = []

    def _checked(self, matcher: StopMatcher, text: str) -> str:
        if self.tokens > self._min_tokens:
            text = matcher.feed(text)
            self.stopped = matcher.stop is not None
        return text.translate(self._unmark) if self._marks else text

    def _flush(self, pieces: list[Piece]) -> None:
        """Nothing more comes, so nothing is held back any more; even that may complete a stop string."""
        if self.stopped:
            return
        text = self._detokenizer.flush()
        self._spread(pieces, (Run("content", text),) if self._channels is None else self._channels.flush(text))
        if self._matcher is not None and not self.stopped and (rest := self._matcher.flush()):
            self._add(pieces, "content", rest.translate(self._unmark))

    def _spread(self, pieces: list[Piece], runs: Iterable[Run]) -> None:
        """Put runs where they belong. A stop string does not reach from one stretch of content into the next."""
        for run in runs:
            if self._matcher is None:
                self._add(pieces, *run)
            elif run.channel == "content":
                self._add(pieces, "content", self._checked(self._matcher, run.text))
                if self.stopped:
                    return
            else:
                if rest := self._matcher.flush():
                    self._add(pieces, "content", rest.translate(self._unmark))
                self._add(pieces, run.channel, run.text.translate(self._unmark), run.name)

    def _add(self, pieces: list[Piece], channel: Channel, text: str, name: str = "") -> None:
        last = pieces[-1]
        self._channel = channel
        self.calls += bool(name)
        if not name and last.channel == channel:
            last.text += text
        elif last.text or last.logprobs or last.name:
            pieces.append(Piece(self._index, channel, text, None if self._rows is None else [], 0, None, name))
        else:
            last.channel, last.text, last.name = channel, text, name


def _marks(names: Mapping[int, str]) -> dict[int, str]:
    """A character for each of some control tokens that stands for it while stop strings are looked for: a noncharacter,
    which no text has. There are 32; names beyond that are ordinary text.
    """
    return {token: chr(_FIRST_MARK + at) for at, token in enumerate(sorted(names)[:32])}


def _marked(stops: tuple[str, ...], names: Mapping[int, str], marks: Mapping[int, str]) -> tuple[str, ...]:
    """The stop strings with marks instead of names, as far as that differs."""
    found = []
    for stop in stops:
        text = stop
        for token in sorted(marks, key=lambda token: -len(names[token])):
            text = text.replace(names[token], marks[token])
        found += [text] * (text != stop)
    return tuple(found)
