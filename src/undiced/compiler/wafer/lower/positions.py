"""Lowers what depends on a token's position: rotations of heads. Tables lie over rows; a position's owner sends its row."""

from __future__ import annotations

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.lowering import Lowering, layered
from undiced.compiler.wafer.lower.writer import Writer
from undiced.model.node import Node
from undiced.model.rope import rope_frequencies
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Dim, Shard
from undiced.program.wafer.program import Stream
from undiced.program.wafer.value import DType, Kind, Rotation

ROWS_OF_TABLE = "row"  # positions of a table: all of the context, unlike a cache's filled ones


def pairing(head_dim: int, dims: int, offset: int, style: str) -> tuple[int, ...]:
    """Columns of a head in (pair, turn) order: rotated pairs first, the others as they lie; () where nothing moves."""
    half = dims // 2
    turned = [(j, j + half) if style == "half" else (2 * j, 2 * j + 1) for j in range(half)]
    rest = [c for c in range(head_dim) if not offset <= c < offset + dims]
    order = [offset + c for pair in turned for c in pair] + rest
    return () if order == list(range(head_dim)) else tuple(order)


def rotation_of(low: Lowering, node: Node) -> tuple[str, str]:
    """States with the cosines and sines of a rotation, filled by the region's stream of rotations."""
    key = rotation_key(node)
    low.rotations.setdefault(key, node)
    head_dim = node.integer("head_dim")
    dims = (Dim("pair", head_dim // 2), Dim("turn", 2))
    lanes = low.bands.lanes_of("pair")
    cosine, sine = (low.w.state(f"rotation.{key}.{part}", dims, (), lanes) for part in ("cos", "sin"))
    return cosine, sine


def rotation_key(node: Node) -> str:
    """Names a rotation: equal keys mean equal tables."""
    import hashlib

    return hashlib.sha256(repr((sorted(node.attrs.items()), node.weights)).encode()).hexdigest()[:8]


def rope(low: Lowering, node: Node) -> None:
    """Pairs are neighbors in every core; tables hold 1 and 0 for what does not turn."""
    w, x = low.w, low.normed(low.get(node))
    if x.side != "columns":
        raise low.refuse(node, "of a value on rows")
    cosine, sine = rotation_of(low, node)
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Rotate(w.node, result, x.name, cosine, sine))
    low.held[node.out] = Held(result, x.side, x.dims)


def rotations_stream(w: Writer, low: Lowering, nodes: dict[str, Node]) -> Stream:
    """Looks the tokens' positions up in every table and sends the rows along columns of cores."""
    rows, lanes = w.grid.rows, low.bands.lanes_of("pair")
    for key, node in nodes.items():
        head_dim, dims = node.integer("head_dim"), node.integer("dims")
        frequencies = tuple(map(float, rope_frequencies(node.attrs))) + (0.0,) * (head_dim // 2 - dims // 2)
        divisors = layered(node.weights[0])[0] if node.weights else ""
        for part in ("cos", "sin"):
            shape = (Dim("pair", head_dim // 2), Dim("turn", 2))
            table = w.value(f"table.{key}.{part}", (Dim(ROWS_OF_TABLE, low.context), *shape),
                            (Shard(ROWS_OF_TABLE, rows, "cyclic"),), lanes, DType.F32, kind=Kind.TABLE)  # fmt: skip
            rotation = Rotation(frequencies, node.number("attention_factor"), "cos" if part == "cos" else "sin", dims // 2, divisors)
            from msgspec.structs import replace

            w.values[table] = replace(w.values[table], rotation=rotation)
            own = w.value(f"own.{key}.{part}", shape, (), lanes)
            w.emit(isa.Lookup(key, own, table, POSITION))
            state = w.state(f"rotation.{key}.{part}", shape, (), lanes)
            w.emit(isa.Multicast(key, state, own, w.grid.line(Axis.ROWS), "f32"))
    return w.stream("rotations")
