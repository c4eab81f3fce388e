"""Values of a stream: their shape, element type, layout, where they come from and where they lie in each core.

Arrays of a core are flat and row-major over the local shares of `dims`. Activations and states exist once a token of
the step; weights and tables once; caches once a sequence.
"""

from __future__ import annotations

from enum import StrEnum
from math import ceil
from typing import Literal

from msgspec import Struct

from undiced.program.wafer.layout import POSITION, Dim, Shard, Spread


class DType(StrEnum):
    """Element types that cores compute with or store."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    I8 = "i8"
    F8 = "f8"  # pairs in 16-bit words, of which `program.wafer.unpacking` says what they are
    I4 = "i4"
    I32 = "i32"


GROUPS = {
    DType.I8: 64,
    DType.F8: 64,
    DType.I4: 32,
}  # elements that share a 16-bit scale: of a row, or of whole rows that are shorter
BITS: dict[DType, float] = {  # stored bits an element, scales included
    DType.F32: 32,
    DType.F16: 16,
    DType.BF16: 16,
    DType.I8: 8.25,
    DType.F8: 8.5,  # two scales: of rows that are read in place, and of the others
    DType.I4: 4.5,
    DType.I32: 32,
}


class Kind(StrEnum):
    """What a value is for."""

    ACTIVATION = "activation"  # of one run of a stream
    STATE = "state"  # lives in the region from stream to stream, and is what regions hand on
    WEIGHT = "weight"
    TABLE = "table"  # a constant made at load: rotations or factors by position
    CACHE = "cache"  # keys, values, latents of past positions


class View(Struct, frozen=True, gc=False):
    """A value that lies inside another: from `offset` elements on, as `dims` of itself, or picked out of them.

    The part is seen as (..., of), of which elements `pick` to `pick` + `count` are taken (and the dimension dropped if
    that is one), so that interleaved values (gate and up) are read in place. A negative offset counts from the end.
    """

    parent: str
    offset: int = 0
    of: int = 1
    pick: int = 0
    count: int = 1


class Weights(Struct, frozen=True, gc=False):
    """Where a weight's elements come from: a slot of the graph, seen as `order` of named dimensions.

    Attributes:
        role: the slot's name within its layer, or of the model where `layer` is False.
        order: dimensions of the slot's elements, outermost first (its rows, then its columns), each with its size.
        layer: whether each layer has its own.
        columns: which columns of a head its `picked` dimensions hold, in their order; empty as they lie.
        picked: neighboring dimensions of `order` that make up a head's columns.
        among: how many columns a head of the slot has, where `columns` are not all of them.
        shared: the dimension of which each run takes a part, from its `Run.start` on ("" for none).
        step: so many elements of a `Run.start`, and how many of this weight's they are.
        scale: every element is multiplied with it at load.
        later: of so many layers after the run's own: of a run that follows on the same cores.
    """

    role: str
    order: tuple[Dim, ...]
    layer: bool = True
    columns: tuple[int, ...] = ()
    shared: str = ""
    scale: float = 1.0
    picked: tuple[str, ...] = ("pair", "turn")
    among: int = 0
    step: tuple[int, int] = (1, 1)
    later: int = 0


class Rotation(Struct, frozen=True, gc=False, tag="rotation"):
    """A table of rotations: cosine or sine by position and pair, from a rotation of the graph.

    Attributes:
        frequencies: radians a position, one a pair; 0 leaves a pair as it is.
        magnitude: factor on both, for the first `turned` pairs; the others stay as they are.
        divisors: the role of a vector that frequencies are divided by.
        part: "cos", "sin" with the signs that `Rotate` needs, or "both": a cosine and a sine a pair.
    """

    frequencies: tuple[float, ...]
    magnitude: float
    part: Literal["cos", "sin", "both"]
    turned: int = 0
    divisors: str = ""


class Growth(Struct, frozen=True, gc=False, tag="growth"):
    """A table of factors by position: 1 + scale * log(1 + floor((position + 1) / floor))."""

    floor: int
    scale: float


Table = Rotation | Growth


class Value(Struct, frozen=True, gc=False):
    """One value of a stream.

    Attributes:
        dims: logical dimensions; `Dim.size` before sharing out.
        rows, columns: how it is spread over the axes of the region.
        view: set where it lies inside another value, whose memory it shares.
        table: what a table holds by position, its first dimension.
        again: a weight that another run on the same cores keeps, and this one reads where it lies.
        once: an activation that is the same for all tokens: what roots have of a weight.
        address: bytes from the start of the core's memory, of weights, tables and caches from their run's base on;
            -1 until memory is planned.
    """

    name: str
    dims: tuple[Dim, ...]
    dtype: DType = DType.F32
    rows: Spread = ()
    columns: Spread = ()
    kind: Kind = Kind.ACTIVATION
    view: View | None = None
    weights: Weights | None = None
    table: Table | None = None
    again: bool = False
    once: bool = False
    address: int = -1


def shard_of(value: Value, dim: str) -> Shard | None:
    """The part that shares a dimension of `value` out, on either axis."""
    return next((p for p in (*value.rows, *value.columns) if isinstance(p, Shard) and p.dim == dim), None)


def local_shape(value: Value, positions: int = 0) -> tuple[int, ...]:
    """Sizes of a core's share; of dimension `position` `positions` are filled in all (0: as declared)."""
    if not value.dims:
        return ()
    ways = {part.dim: part.ways for part in (*value.columns[::-1], *value.rows[::-1]) if isinstance(part, Shard)}
    out = []
    for dim in value.dims:
        size = min(positions, dim.size) if positions and dim.name == POSITION else dim.size
        out.append(ceil(size / ways[dim.name]) if dim.name in ways else size)
    return tuple(out)
