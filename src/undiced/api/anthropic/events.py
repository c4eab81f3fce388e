"""An answer as the Messages API tells it: blocks, each with its events; everything constant is written once per block.

Order: `message_start`; of each block `content_block_start`, its deltas, `content_block_stop`; `message_delta` with the
reason and the account, `message_stop`. A block holds one channel, so thoughts, text and each call have their own. A
thought ends with its signature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from undiced.api.anthropic.errors import error_body
from undiced.api.anthropic.signature import PLAIN, signature_of
from undiced.api.anthropic.turns import USE_ID
from undiced.api.encoding import encode
from undiced.api.writer import Writer
from undiced.core.call import call_id

if TYPE_CHECKING:
    from undiced.api.chunks import Folded, Head
    from undiced.api.tally import Tally
    from undiced.core.errors import UndicedError
    from undiced.text import Piece
    from undiced.text.fold import Channel

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_BEFORE = {  # what stands before the text in a delta of a channel
    "content": b'{"type":"text_delta","text":',
    "reasoning": b'{"type":"thinking_delta","thinking":',
    "tool_call": b'{"type":"input_json_delta","partial_json":',
}
_AFTER = b"}}\n\n"
_STANDARD = {"service_tier": "standard"}  # whichever of the two that clients of this API know was asked for
_CACHED, _MADE = "cache_read_input_tokens", "cache_creation_input_tokens"


@dataclass(slots=True)
class _Block:
    """A block of a whole message."""

    channel: Channel
    name: str
    parts: list[str] = field(default_factory=list)


def _event(name: bytes, members: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b",%b}\n\n' % (name, name, members)


class MessageWriter(Writer):
    """One message on the wire, streamed or whole.

    Args:
        omits: thoughts are not told, but carried by their signatures.
        most: tokens of the answer, as asked for; None is what fits.
    """

    def __init__(self, head: Head, *, omits: bool, most: int | None) -> None:
        super().__init__(head)
        self._omits = omits
        self._most = most
        self._begun = False
        self._at = -1  # the open block, or the last one
        self._channel: Channel | None = None  # of the open block
        self._lead = b""  # everything before the text of a delta
        self._thought: list[str] = []  # what the open block's signature has to carry
        self._blocks: list[_Block] = []  # of a whole message
        self._last: Piece | None = None

    def piece(self, piece: Piece) -> bytes:
        """The events of a piece; the first one also begins the message."""
        if piece.channel == self._channel and not piece.name:
            return self._delta(piece.text)
        opening = self.alive() if not self._begun else b""
        if not piece.text and not piece.name:
            return opening
        return opening + self._close() + self._open(piece.channel, piece.name) + self._delta(piece.text)

    def around(self, piece: Piece) -> tuple[bytes, bytes] | None:
        """As of `Writer`."""
        same = piece.channel == self._channel == "content" and not piece.name
        return (self._lead, _AFTER) if same else None

    def finish(self, piece: Piece, tally: Tally | None) -> bytes:
        """The rest of the text, and the end of the message."""
        assert tally is not None  # there is one choice
        said = {"delta": self._end(piece), "usage": _usage(tally)}
        return self.piece(piece) + self._close() + _event(b"message_delta", encode(said)[1:-1]) + _STOP

    def fold(self, choice: Folded, piece: Piece) -> None:
        """Add a piece to the whole message."""
        if piece.finish is not None:
            self._last = piece
        if piece.name or (piece.text and (not self._blocks or self._blocks[-1].channel != piece.channel)):
            self._blocks.append(_Block(piece.channel, piece.name))
        if piece.text:
            self._blocks[-1].parts.append(piece.text)

    def whole(self, choices: list[Folded], tally: Tally) -> bytes:
        """The answer in one piece."""
        content = [self._content(block.channel, block.name, "".join(block.parts)) for block in self._blocks]
        return encode(self._message(content) | self._end(self._last) | {"usage": _usage(tally)})

    def alive(self) -> bytes:
        """What keeps a silent stream open; a message begins first."""
        if self._begun:
            return PING
        self._begun = True
        usage = {"input_tokens": self.head.prompt_tokens, _MADE: 0, _CACHED: 0, "output_tokens": 0, **_STANDARD}
        message = self._message([]) | {"stop_reason": None, "stop_sequence": None, "usage": usage}
        return _event(b"message_start", b'"message":' + encode(message))

    def failure(self, error: UndicedError, request_id: str) -> bytes:
        """The event that ends a stream early."""
        return b"event: error\ndata: " + error_body(error, request_id) + b"\n\n"

    def _message(self, content: list[dict[str, object]]) -> dict[str, object]:
        head = self.head
        return {"id": head.id, "type": "message", "role": "assistant", "model": head.model, "content": content}

    def _end(self, last: Piece | None) -> dict[str, object]:
        """Why the message ends."""
        assert last is not None
        if last.finish == "length":
            full = self._most is None or last.tokens < self._most
            reason = "model_context_window_exceeded" if full else "max_tokens"
        elif last.finish == "tool_calls":
            reason = "tool_use"
        else:
            reason = "end_turn" if last.stop is None else "stop_sequence"
        return {"stop_reason": reason, "stop_sequence": last.stop if reason == "stop_sequence" else None}

    def _open(self, channel: Channel, name: str) -> bytes:
        self._at += 1
        self._channel = channel
        lead = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % self._at
        self._lead = lead + _BEFORE[channel]
        block = encode(self._content(channel, name, None))
        return _event(b"content_block_start", b'"index":%d,"content_block":%b' % (self._at, block))

    def _delta(self, text: str) -> bytes:
        if not text:
            return b""
        if self._omits and self._channel == "reasoning":
            self._thought.append(text)
            return b""
        return self._lead + encode(text) + _AFTER

    def _close(self) -> bytes:
        channel, self._channel = self._channel, None
        if channel is None:
            return b""
        stop = _event(b"content_block_stop", b'"index":%d' % self._at)
        if channel != "reasoning":
            return stop
        signature = self._signature("".join(self._thought))
        self._thought = []
        delta = b'"index":%d,"delta":{"type":"signature_delta","signature":%b}' % (self._at, encode(signature))
        return _event(b"content_block_delta", delta) + stop

    def _signature(self, thought: str) -> str:
        return signature_of(thought) if self._omits else PLAIN

    def _content(self, channel: Channel, name: str, said: str | None) -> dict[str, object]:
        """A block; one that begins has said nothing."""
        if channel == "content":
            return {"type": "text", "text": said or ""}
        if channel == "reasoning":
            thought = "" if self._omits else said or ""
            return {"type": "thinking", "thinking": thought, "signature": "" if said is None else self._signature(said)}
        return {"type": "tool_use", "id": USE_ID + call_id(), "name": name, "input": _input(said or "")}


def _input(arguments: str) -> dict[str, object]:
    """The arguments of a call; empty where a limit cut them."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, object])
    except msgspec.MsgspecError:
        return {}


def _usage(tally: Tally) -> dict[str, object]:
    """The account. Tokens of the prompt that were in the cache are counted apart."""
    return {
        "input_tokens": tally.prompt_tokens - tally.cached_tokens,
        _MADE: 0,
        _CACHED: tally.cached_tokens,
        "output_tokens": tally.completion_tokens,
        "output_tokens_details": {"thinking_tokens": tally.reasoning_tokens},
        **_STANDARD,
    }
