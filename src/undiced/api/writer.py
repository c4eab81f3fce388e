"""Writer: what writes an answer for the wire, as a stream of events or in one piece. One format is one subclass; knows
none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from undiced.api.errors import error_event

if TYPE_CHECKING:
    from undiced.api.chunks import Folded, Head
    from undiced.api.tally import Tally
    from undiced.core.errors import UndicedError
    from undiced.text import Piece

PING = b": ping\n\n"


class Writer(ABC):
    """Writes the answer to one request, streamed or whole."""

    def __init__(self, head: Head) -> None:
        self.head = head

    @abstractmethod
    def piece(self, piece: Piece) -> bytes:
        """The events that a piece makes; nothing if it has nothing to say."""

    @abstractmethod
    def finish(self, piece: Piece, tally: Tally | None) -> bytes:
        """The last events of a choice, whose last piece has the reason. tally: of the request, with the last choice."""

    def around(self, piece: Piece) -> tuple[bytes, bytes] | None:
        """What stands around the text of this piece and of those like it that may follow; None if that is not always
        the same, or more has to be said before.
        """
        return None

    def alive(self) -> bytes:
        """What keeps a silent stream open."""
        return PING

    def end(self, tally: Tally) -> bytes:
        """What closes a stream."""
        return b""

    def failure(self, error: UndicedError, request_id: str) -> bytes:
        """What closes a stream that fails."""
        return error_event(error, request_id)

    def fold(self, choice: Folded, piece: Piece) -> None:
        """Add a piece to a whole choice."""
        choice.take(piece)

    @abstractmethod
    def whole(self, choices: list[Folded], tally: Tally) -> bytes:
        """The answer in one piece."""
