"""An answer in the Responses format: typed events with numbers, or one response object, made of the same items.

A streamed token costs one string encoding, one join and a number: everything else of its event is written once an item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.api.encoding import encode
from undiced.api.responses.offered import Called
from undiced.api.responses.output import Call, CustomCall, Message, Thought
from undiced.api.writer import Writer
from undiced.core.errors import ContextLengthError, InvalidRequestError, QueueFullError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undiced.api.chunks import Folded, Head
    from undiced.api.responses.frame import Frame
    from undiced.api.responses.output import Item
    from undiced.api.tally import Tally
    from undiced.core.errors import UndicedError
    from undiced.text import Piece
    from undiced.text.logprobs import TokenLogprob


class ResponseEvents(Writer):
    """See the file's head.

    Args:
        called: what the tools are called, by the names that models may use.
    """

    def __init__(self, head: Head, frame: Frame, called: Mapping[str, Called]) -> None:
        super().__init__(head)
        self._frame = frame
        self._called = called
        self._number = 0
        self._output: list[bytes] = []  # items that are complete
        self._item: Item | None = None  # that is being said
        self._channel = ""
        self._lead = self._rest = b""
        self._suffix = head.id.partition("_")[2]
        self._status = "in_progress"

    def piece(self, piece: Piece) -> bytes:
        """The events that a piece makes."""
        said = b"" if self._number else self._begin()
        text, rows = piece.text, piece.logprobs if piece.channel == "content" else None
        if piece.name or (piece.channel != self._channel and (text or rows)):
            said += self._close("completed") + self._open(piece)
        item = self._item
        if item is None or not (text or rows) or piece.channel != self._channel:
            return said
        told = item.take(text)
        if rows:
            return said + self._with_rows(item, told, rows)
        return said + self._delta(told) if told else said

    def _delta(self, text: str) -> bytes:
        number = self._number
        self._number = number + 1
        return b"%b%b%b%d}\n\n" % (self._lead, encode(text), self._rest, number)

    def _with_rows(self, item: Item, text: str, rows: list[TokenLogprob]) -> bytes:
        told = [{**_token(row), "top_logprobs": [_token(rival) for rival in row.rivals]} for row in rows]
        item.rows += told
        return self._event(item.delta, {**self._where(item), "delta": text, "logprobs": told})

    def finish(self, piece: Piece, tally: Tally | None) -> bytes:
        """The last item ends, and the response with it. An answer that says nothing has an empty message."""
        said = self.piece(piece)
        self._status = "incomplete" if piece.finish == "length" else "completed"
        if self._item is None and not self._output:
            self._channel = "content"
            said += self._add(Message(f"{self._suffix}_0"))
        said += self._close(self._status)
        return said + self._told(self._status, self._frame.response(self._status, self._output, tally))

    def failure(self, error: UndicedError, request_id: str) -> bytes:
        """The response fails; clients know some of the codes."""
        said = b"" if self._number else self._begin()
        told = {"code": _code(error), "message": str(error)}
        return said + self._told("failed", self._frame.response("failed", self._output, error=told))

    def fold(self, choice: Folded, piece: Piece) -> None:
        """Add a piece to the response, which is made of the same items as the events."""
        if piece.finish is None:
            self.piece(piece)
        else:
            self.finish(piece, None)

    def whole(self, choices: list[Folded], tally: Tally) -> bytes:
        """The response object."""
        return self._frame.response(self._status, self._output, tally)

    def _begin(self) -> bytes:
        response = self._frame.response("in_progress", [])
        return self._told("created", response) + self._told("in_progress", response)

    def _told(self, kind: str, response: bytes) -> bytes:
        """An event with the response object."""
        number, name = self._number, f"response.{kind}".encode()
        self._number = number + 1
        parts = (name, name, number, response)
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":%b}\n\n' % parts

    def _event(self, kind: str, members: dict[str, object]) -> bytes:
        number, name = self._number, f"response.{kind}"
        self._number = number + 1
        data = encode({"type": name, "sequence_number": number, **members})
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

    def _open(self, piece: Piece) -> bytes:
        """An item begins with this piece."""
        suffix = f"{self._suffix}_{len(self._output)}"
        self._channel = piece.channel
        if piece.channel == "content":
            return self._add(Message(suffix))
        if piece.channel == "reasoning":
            return self._add(Thought(suffix))
        if not piece.name:  # pieces of a call that was never told
            return b""
        called = self._called.get(piece.name, Called(piece.name))
        return self._add((CustomCall if called.custom else Call)(suffix, called))

    def _add(self, item: Item) -> bytes:
        self._item = item
        added = {"output_index": len(self._output), "item": item.whole("in_progress")}
        said = self._event("output_item.added", added)
        where = self._where(item)
        for kind, members in item.opening():
            said += self._event(kind, {**where, **members})
        name = f"response.{item.delta}"
        data = encode({"type": name, **where})[:-1]
        self._lead = b"event: %b\ndata: %b" % (name.encode(), data) + b',"delta":'
        rows = b',"logprobs":[]' if isinstance(item, Message) else b""
        self._rest = rows + b',"sequence_number":'
        return said

    def _close(self, status: str) -> bytes:
        """The item that is being said ends."""
        item = self._item
        if item is None:
            return b""
        self._item, self._channel = None, ""
        rest = item.rest()
        said = self._delta(rest) if rest else b""
        where = {"item_id": item.id, "output_index": len(self._output)}
        for kind, members in item.closing():
            said += self._event(kind, {**where, **members})
        whole = item.whole(status)
        said += self._event("output_item.done", {"output_index": len(self._output), "item": whole})
        self._output.append(encode(whole))
        return said

    def _where(self, item: Item) -> dict[str, object]:
        return {"item_id": item.id, "output_index": len(self._output), **item.place}


def _token(row: TokenLogprob) -> dict[str, object]:
    return {"token": row.text, "logprob": row.logprob, "bytes": list(row.spelled)}


def _code(error: UndicedError) -> str:
    """The code by which clients decide whether to try again."""
    if isinstance(error, ContextLengthError):
        return error.code
    if isinstance(error, QueueFullError):
        return "rate_limit_exceeded"
    return "invalid_prompt" if isinstance(error, InvalidRequestError) else "server_error"
