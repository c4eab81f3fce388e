"""Lowers what depends on a token's position: rotations of heads, growth of queries. Tables lie over the axis that their
values leave free; a position's owner sends its row along it."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Literal

from msgspec.structs import replace

from undiced.compiler.wafer.lower.held import ByPosition, Held
from undiced.compiler.wafer.lower.lowering import Lowering, layered
from undiced.compiler.wafer.lower.writer import Writer
from undiced.model.node import Attr, Node
from undiced.model.rope import rope_frequencies
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import FLAT, Axis, Dim, Owner, Shard, Spread
from undiced.program.wafer.program import Stream
from undiced.program.wafer.value import DType, Growth, Kind, Rotation, View, local_shape

ROWS_OF_TABLE = "row"  # positions of a table: all of the context, unlike a cache's filled ones


@lru_cache(maxsize=64)
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
    frequencies = _frequencies(tuple(node.attrs.items()), low.context) + (0.0,) * (pairs - turned)
    divisors = layered(node.weights[0])[0] if node.weights else ""
    dims = (Dim("pair", pairs), Dim("turn", 2))
    magnitude = node.number("attention_factor")
    parts: tuple[Literal["cos", "sin"], ...] = ("cos", "sin")
    cosine, sine = (
        looked_up(low, ByPosition(Rotation(frequencies, magnitude, part, turned, divisors), dims, rows, columns))
        for part in parts
    )
    return cosine, sine


@lru_cache(maxsize=32)
def _frequencies(attrs: tuple[tuple[str, Attr], ...], context: int) -> tuple[float, ...]:
    return tuple(map(float, rope_frequencies(dict(attrs), context)))


def looked_up(low: Lowering, row: ByPosition) -> str:
    """The state with a table's row of each token's position, filled by the region's stream of tables."""
    low.tables.setdefault(row.name, row)
    return low.w.state(row.name, row.dims, row.rows, row.columns, _dtype(low.w))


def _dtype(w: Writer) -> DType:
    """Tables are as wide as the sums that they are multiplied with."""
    return DType.F16 if w.choices.wire == "f16" else DType.F32


def rope(low: Lowering, node: Node) -> None:
    """Pairs are neighbors in every core; tables hold 1 and 0 for what does not turn."""
    w, x = low.w, low.normed(low.get(node))
    if x.side != "columns":
        raise low.refuse(node, "of a value on rows")
    cosine, sine = rotation_of(low, node, (), low.bands.lanes_of("pair"))
    other = _beside(low, node, x)
    if other is not None:
        _rotated_together(low, node, other, (cosine, sine))
        return
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Rotate(w.node, result, x.name, cosine, sine))
    low.held[node.out] = Held(result, x.side, x.dims)


def _beside(low: Lowering, node: Node, x: Held) -> Node | None:
    """The rotation of keys, where queries and keys of one KV head a core lie side by side and turn alike."""
    view = low.w.values[x.name].view
    if view is None or local_shape(low.w.values[x.name])[0] != 1:
        return None
    for other in low.nodes[low.nodes.index(node) + 1 :]:
        held = low.held.get(other.ins[0])
        if other.op == "rope" and other.attrs == node.attrs and other.weights == node.weights and held is not None:
            next_to = low.w.values[held.name].view
            start = view.offset + prod(local_shape(low.w.values[x.name]))
            if next_to is not None and (next_to.parent, next_to.offset) == (view.parent, start):
                return other
    return None


def _rotated_together(low: Lowering, node: Node, other: Node, table: tuple[str, str]) -> None:
    """One rotation of what lies side by side: keys as one more head of the group, or of each part of it."""
    w, q, k = low.w, low.held[node.ins[0]], low.held[other.ins[0]]
    first, second = low.w.values[q.name], low.w.values[k.name]
    assert first.view is not None
    kv, group, pair, turn = q.dims
    share = local_shape(first)[1] + 1
    dims = (kv, Dim(group.name, low.bands.groups * share), pair, turn)
    both = w.value("attn.qk", dims, (), first.columns, view=first.view)
    sizes = prod(local_shape(first)), prod(local_shape(second))
    flat = w.value("attn.qk_rotated", (Dim(FLAT, sum(sizes)),), dtype=first.dtype)
    result = w.value("attn.qk_heads", dims, (), first.columns, view=View(flat))
    w.emit(isa.Rotate(w.node, result, both, *table))
    for each, held, value, offset in ((node, q, first, 0), (other, k, second, sizes[0])):
        name = w.value(layered(each.out)[0], held.dims, (), value.columns, view=View(flat, offset))
        low.held[each.out] = Held(name, held.side, held.dims)
    low.done.add(other.out)


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
        table = w.value(f"{name}.table", dims, rows, columns, _dtype(w), kind=Kind.TABLE)
        w.values[table] = replace(w.values[table], table=row.table)
        owner: Spread = (Owner("position", w.grid.extent(row.axis)),)
        at = (owner, row.columns) if row.axis is Axis.ROWS else (row.rows, owner)
        own = w.value(f"{name}.own", row.dims, *at, _dtype(w))
        w.emit(isa.Lookup(name, own, table, "position"))
        state = w.state(name, row.dims, row.rows, row.columns, _dtype(w))
        w.emit(isa.Multicast(name, state, own, w.grid.line(row.axis), w.choices.wire))
    return w.stream("tables")
