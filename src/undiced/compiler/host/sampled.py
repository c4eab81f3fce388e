"""What is computed for sampled rows alone: the head, and of a last layer all but keys and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from undiced.compiler.host.draft import Draft, Spot
from undiced.compiler.host.rules import ELSEWHERE
from undiced.core.errors import UnsupportedError
from undiced.model import Graph, Node
from undiced.program.host.instruction import Gather

CACHED = ("attention", "mla_attention")  # their first input is queries, the others join the cache
_OF_TOKENS = ("embed", "position_embed")


def values_of_tokens(graph: Graph) -> set[str]:
    """Values that are made for every token: what a cache keeps, and all that leads there. Of others only the sampled
    rows are ever read.
    """
    found = {node.out for node in graph.nodes if node.op in _OF_TOKENS}
    for node in reversed(graph.nodes):
        if node.out in found:
            found.update(node.ins)
        elif node.op in CACHED:
            found.update(node.ins[1:])
    return found


class Samples:
    """Picks the sampled rows of values that are made for every token, once somebody wants only those.

    Args:
        again: rules of operators that cost as little as a copy: what they make is made again of sampled rows, because
            who needs a row for that has it already, and nobody has to wait.
    """

    def __init__(self, draft: Draft, again: Mapping[str, Callable[[Draft, Node], None]]) -> None:
        self._draft = draft
        self._again = again
        self._made = draft.producer()

    def read(self, name: str, layer: int) -> None:
        """A value that a node of sampled rows reads. Positions are no value: instructions know those of their rows."""
        spot = self._draft.spots.get(name)
        if spot is None or self._draft.virtual[spot.buffer].rows == "samples":
            return
        node = self._made[name]
        if node.op not in self._again:
            self._draft.spots[name] = self.copy(name, layer)
            return
        self.read(node.ins[0], layer)
        del self._draft.spots[name]
        self._again[node.op](self._draft, node)

    def copy(self, name: str, layer: int) -> Spot:
        """A copy of a value's sampled rows."""
        draft, spot = self._draft, self._draft.spots[name]
        if spot.start:
            raise UnsupportedError(f"The host engine can't pick rows of {name!r} where it lies.", remedy=ELSEWHERE)
        buffer = draft.new_buffer("sampled", spot.width, "samples")
        draft.instrs.append(Gather(dst=buffer, a=spot.buffer, columns=spot.width, layer=layer, note=name))
        return Spot(buffer, 0, spot.width)
