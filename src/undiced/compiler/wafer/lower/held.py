"""Where the values of the graph are while its nodes are lowered, and what is still to be done to them. Data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undiced.program.wafer.layout import Dim

Side = Literal["rows", "columns"]


@dataclass(frozen=True, slots=True)
class PendingNorm:
    """A root mean square norm that is not applied yet: its inverse root, which scales what products make of it.

    Attributes:
        source: the value that is normed; scaled: the same times the norm's weights (or itself).
    """

    source: str
    scaled: str
    eps: float
    width: int


@dataclass(frozen=True, slots=True)
class Held:
    """A value of the graph in a stream.

    Attributes:
        name: the stream's value.
        side: the axis that shares it out; on the other it is repeated.
        dims: its dimensions.
        norm: set while a norm waits for the product that takes it along.
    """

    name: str
    side: Side
    dims: tuple[Dim, ...]
    norm: PendingNorm | None = None
