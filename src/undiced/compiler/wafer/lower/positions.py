"""Lowers what depends on a token's position: rotations of heads, growth of queries. Tables lie over the axis that their
values leave free; a position's owner sends its row along it."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from undiced.compiler.wafer.lower.held import ByPosition, Held
from undiced.compiler.wafer.lower.lowering import Lowering, layered
from undiced.compiler.wafer.lower.writer import Writer
from undiced.model.node import Node
from undiced.model.rope import rope_frequencies
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Shard, Spread
from undiced.program.wafer.program import Stream
from undiced.program.wafer.value import Growth, Kind, Rotation

ROWS_OF_TABLE = "row"  # positions of a table: all of the context, unlike a cache's filled ones


def pairing(head_dim: int, dims: int, offset: int, style: str) -> tuple[int, ...]:
    """Columns of a head in (pair, turn) order: rotated pairs first, the others as they lie; () where nothing moves."""
    half = dims // 2
    turned = [(j, j + half) if style == "half" else (2 * j, 2 * j + 1) for j in range(half)]
    rest = [c for c in range(head_dim) if not offset <= c < offset + dims]
    order = [offset + c for pair in turned for c in pair] + rest
    return () if order == list(range(head_dim)) else tuple(order)


def rotation_of(low: Lowering, node: Node, rows: Spread, columns: Spread) -> tuple[str, str]:
    """States with the cosines and sines of a rotation, laid out as (pair, turn) dimensions of a value."""
    turned, offset = node.integer("dims") // 2, node.integer("offset")
    if node.weights and node.text("scaling") in ("llama3", "yarn"):
        raise low.refuse(node, "with divisors from the checkpoint that are stretched by rule besides")
    pairs = (node.integer("head_dim") - offset) // 2
    frequencies = tuple(map(float, rope_frequencies(node.attrs))) + (0.0,) * (pairs - turned)
    divisors = layered(node.weights[0])[0] if node.weights else ""
    dims = (Dim("pair", pairs), Dim("turn", 2))
    magnitude = node.number("attention_factor")
    parts: tuple[Literal["cos", "sin"], ...] = ("cos", "sin")
    cosine, sine = (
        looked_up(low, ByPosition(Rotation(frequencies, magnitude, part, turned, divisors), dims, rows, columns))
        for part in parts
    )
    return cosine, sine


def looked_up(low: Lowering, row: ByPosition) -> str:
    """The state with a table's row of each token's position, filled by the region's stream of tables."""
    low.tables.setdefault(row.name, row)
    return low.w.state(row.name, row.dims, row.rows, row.columns)


def rope(low: Lowering, node: Node) -> None:
    """Pairs are neighbors in every core; tables hold 1 and 0 for what does not turn."""
    w, x = low.w, low.normed(low.get(node))
    if x.side != "columns":
        raise low.refuse(node, "of a value on rows")
    cosine, sine = rotation_of(low, node, (), low.bands.lanes_of("pair"))
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Rotate(w.node, result, x.name, cosine, sine))
    low.held[node.out] = Held(result, x.side, x.dims)


def position_scale(low: Lowering, node: Node) -> None:
    """Queries that grow with the position: a factor a token."""
    w, x = low.w, low.normed(low.get(node))
    factor = looked_up(low, ByPosition(Growth(node.integer("floor"), node.number("scale")), ()))
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "multiply", result, x.name, factor))
    low.held[node.out] = Held(result, x.side, x.dims)


def tables_stream(w: Writer, context: int, wanted: dict[str, ByPosition]) -> Stream:
    """Looks the tokens' positions up in every table; owners send rows along the axis that shares positions out."""
    for name, row in wanted.items():
        w.node = name
        owners: Spread = (Shard(ROWS_OF_TABLE, w.grid.extent(row.axis), "cyclic"),)
        rows, columns = (owners, row.columns) if row.axis is Axis.ROWS else (row.rows, owners)
        dims = (Dim(ROWS_OF_TABLE, context), *row.dims)
        table = w.value(f"{name}.table", dims, rows, columns, kind=Kind.TABLE)
        w.values[table] = replace(w.values[table], table=row.table)
        own = w.value(f"{name}.own", row.dims, row.rows, row.columns)
        w.emit(isa.Lookup(name, own, table, "position"))
        state = w.state(name, row.dims, row.rows, row.columns)
        w.emit(isa.Multicast(name, state, own, w.grid.line(row.axis), "f32"))
    return w.stream("tables")
