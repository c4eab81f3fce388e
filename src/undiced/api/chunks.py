"""The JSON that chat and text completions share; everything constant is written once per request. Knows the shapes, not
the transport.

A streamed token costs one string encoding and one join: no object is built and no dictionary is serialized.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import msgspec

from undiced.api.encoding import encode
from undiced.api.writer import Writer

if TYPE_CHECKING:
    from undiced.api.tally import Tally
    from undiced.text import Piece
    from undiced.text.logprobs import TokenLogprob

DONE = b"data: [DONE]\n\n"


class Head(msgspec.Struct, frozen=True):
    """What every chunk and answer of one request repeats. `created` is Unix time in seconds, `created_s` the same with
    its fraction; `service_class` is the one that was asked for.
    """

    id: str
    model: str
    system_fingerprint: str
    created_s: float
    prompt_tokens: int
    include_usage: bool = False
    continuous_usage: bool = False
    service_class: str = ""

    def opening(self, kind: str) -> bytes:
        """The members before `choices`, and the beginning of that list."""
        members = {
            "id": self.id,
            "object": kind,
            "created": int(self.created_s),
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
        }
        if self.service_class:
            members["service_tier"] = self.service_class
        return encode(members)[:-1] + b',"choices":['


class FoldedCall(msgspec.Struct):
    """A call of a function: its name and the pieces of its arguments."""

    name: str
    arguments: list[str] = []


class Folded(msgspec.Struct):
    """One choice of an answer that is not streamed: all its pieces, joined by channel.

    Attributes:
        thoughts: log-probabilities of thoughts.
    """

    index: int
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[FoldedCall] = []
    logprobs: list[TokenLogprob] | None = None
    thoughts: list[TokenLogprob] | None = None
    finish: str | None = None

    def take(self, piece: Piece, *, rows_apart: bool = False) -> None:
        """Append a piece. rows_apart: those of thoughts are kept apart."""
        if piece.name:
            self.calls.append(FoldedCall(piece.name))
        if piece.channel == "content":
            self.text.append(piece.text)
        elif piece.channel == "reasoning":
            self.reasoning.append(piece.text)
        elif self.calls:
            self.calls[-1].arguments.append(piece.text)
        if piece.logprobs is not None:
            if rows_apart and piece.channel == "reasoning":
                self.thoughts = (self.thoughts or []) + piece.logprobs
            else:
                self.logprobs = self.logprobs or []
                self.logprobs += piece.logprobs
        self.finish = piece.finish


def usage_object(tally: Tally) -> dict[str, object]:
    """The `usage` member; what came of a prediction where tokens of it were tried, and joules where they are known."""
    details = {"reasoning_tokens": tally.reasoning_tokens}
    if tally.foretold_tokens:
        details["accepted_prediction_tokens"] = tally.foretold_accepted
        details["rejected_prediction_tokens"] = tally.foretold_tokens - tally.foretold_accepted
    energy = {"energy_joules": tally.joules} if tally.joules > 0 else {}
    return {
        "prompt_tokens": tally.prompt_tokens,
        "completion_tokens": tally.completion_tokens,
        "total_tokens": tally.prompt_tokens + tally.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": tally.cached_tokens},
        "completion_tokens_details": details,
        **energy,
    }


def time_object(tally: Tally, created_s: float) -> dict[str, float]:
    """The `time_info` member, in seconds."""
    return {
        "queue_time": tally.queue_s,
        "prompt_time": tally.prompt_s,
        "completion_time": tally.completion_s,
        "total_time": tally.total_s,
        "created": created_s,
    }


class Chunks(Writer):
    """Writes the events of one request. Subclasses say where text and log-probabilities go.

    Attributes:
        kind, chunk_kind: the `object` member of a whole answer and of a chunk.
        before, after: what stands around the text in a choice of a chunk.
        silent: the text's member where there is none.
    """

    kind = ""
    chunk_kind = ""
    before = after = silent = b""

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._opening = b"data: " + head.opening(self.chunk_kind)
        self._lead: dict[int, bytes] = {}
        self._text_lead: dict[int, bytes] = {}
        self._plain = self.after + b',"logprobs":null,"finish_reason":null}'
        self._close = b',"usage":null}\n\n' if head.include_usage else b"}\n\n"
        self._tail = b"]" + self._close
        self._counts: dict[int, int] = {}

    @abstractmethod
    def logprobs(self, rows: list[TokenLogprob]) -> dict[str, object]:
        """The `logprobs` member of a choice."""

    @abstractmethod
    def members(self, choice: Folded) -> dict[str, object]:
        """The members of a whole choice that hold what was said."""

    def first(self, index: int) -> bytes:
        """The events before a choice's first text."""
        return b""

    def piece(self, piece: Piece) -> bytes:
        """One chunk with the piece's text; nothing if it has nothing to say."""
        opening = b"" if piece.index in self._text_lead else self.open(piece.index)
        lead = self._text_lead[piece.index]
        if not piece.text and not piece.logprobs:
            return opening
        if piece.logprobs is None:
            return b"".join((opening, lead, encode(piece.text), self._plain, self.tail(piece)))
        rows = encode(self.logprobs(piece.logprobs))
        parts = (self.after, b',"logprobs":', rows, b',"finish_reason":null}')
        return b"".join((opening, lead, encode(piece.text), *parts, self.tail(piece)))

    def around(self, piece: Piece) -> tuple[bytes, bytes] | None:
        """As of `Writer`."""
        lead = self._text_lead.get(piece.index)
        if lead is None or self.head.continuous_usage or piece.channel != "content" or piece.logprobs is not None:
            return None
        return lead, self._plain + self._tail

    def open(self, index: int) -> bytes:
        """A choice begins."""
        self._text_lead[index] = self.lead(index) + self.before
        return self.first(index)

    def finish(self, piece: Piece, tally: Tally | None) -> bytes:
        """The rest of the text, then the chunk with the finish reason; with a tally, also usage and times."""
        reason = encode(piece.finish)
        ending = self.lead(piece.index) + self.silent + b',"logprobs":null,"finish_reason":' + reason + b"}"
        return self.piece(piece) + ending + self.finish_tail(tally)

    def whole(self, choices: list[Folded], tally: Tally) -> bytes:
        """The answer in one piece."""
        rows = [
            {
                "index": choice.index,
                **self.members(choice),
                "logprobs": None if choice.logprobs is None else self.logprobs(choice.logprobs),
                "finish_reason": choice.finish,
            }
            for choice in choices
        ]
        ending = {"usage": usage_object(tally), "time_info": time_object(tally, self.head.created_s)}
        return self.head.opening(self.kind)[:-1] + encode(rows) + b"," + encode(ending)[1:]

    def lead(self, index: int) -> bytes:
        """Everything before a choice's own members; made once a choice."""
        found = self._lead.get(index)
        if found is None:
            found = self._lead[index] = self._opening + b'{"index":%d,' % index
        return found

    def tail(self, piece: Piece) -> bytes:
        """Everything after a choice; constant unless the client wants usage in every chunk."""
        if not self.head.continuous_usage:
            return self._tail
        self._counts[piece.index] = piece.tokens
        done = sum(self._counts.values())
        prompt = self.head.prompt_tokens
        return b'],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}\n\n' % (
            prompt,
            done,
            prompt + done,
        )

    def finish_tail(self, tally: Tally | None) -> bytes:
        """The end of a finish chunk. Usage is said once: here, or in a chunk of its own if the client asked for that
        (clients add up what they see).
        """
        if tally is None:
            return self._tail
        usage = None if self.head.include_usage else usage_object(tally)
        return (
            b'],"usage":'
            + encode(usage)
            + b',"time_info":'
            + encode(time_object(tally, self.head.created_s))
            + b"}\n\n"
        )

    def end(self, tally: Tally) -> bytes:
        """The event without choices that clients may ask for, with the usage, and the mark of the end."""
        if not self.head.include_usage:
            return DONE
        return self._opening + b'],"usage":' + encode(usage_object(tally)) + b"}\n\n" + DONE
