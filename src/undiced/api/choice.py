"""Choice: one sequence of a request, from the engine's deltas to pieces of text. Knows no JSON and no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.text import Piece

if TYPE_CHECKING:
    from undiced.api.ports import Running
    from undiced.serve import Delta, Request
    from undiced.text import Fold


@dataclass(frozen=True, slots=True)
class Choice:
    """See the file's head. `fold` says where the answer ends; the sequence is told."""

    index: int
    request: Request
    fold: Fold

    def push(self, delta: Delta, sequence: Running) -> list[Piece]:
        """Take one delta of its sequence. The last piece, with the reason, comes with the account."""
        fold = self.fold
        if fold.stopped:
            pieces = []
        else:
            pieces = fold.push(delta)
            if fold.stopped:
                sequence.finish(fold.tokens)
        if delta.usage is not None:
            reason = delta.usage.finish_reason
            told = "tool_calls" if reason == "stop" and fold.calls else reason
            pieces.append(Piece(self.index, "content", "", None, fold.tokens, told, stop=fold.stop))
        return pieces
