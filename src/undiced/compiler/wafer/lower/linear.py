"""Lowers products with matrices: inputs on one axis, outputs on the other, the sum between them.

From rows to columns all products of one input are one tile. A norm that waits goes ahead: its sum of squares is on its
way while the tile is multiplied, and scales the sums where they arrive. What follows there (biases, an activation) is
done on each root's slice before it is sent on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from msgspec import Struct
from msgspec.structs import replace

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.lowering import HIDDEN, Lowering, layered, matrix, vector_weight, view_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Roots, Spread
from undiced.program.wafer.value import DType, Kind, Value, local_shape


class Output(Struct, frozen=True):
    """One product's result: dimensions, how they lie over columns, and how the weights' rows name them.

    Attributes:
        head_columns, picked, among: which columns of the slot's heads it is, see `Weights`.
    """

    node: Node
    dims: tuple[Dim, ...]
    columns: Spread
    head_columns: tuple[int, ...] = ()
    scale: float = 1.0
    label: str = ""
    picked: tuple[str, ...] = ("pair", "turn")
    among: int = 0

    @property
    def share(self) -> int:
        """Elements on a core."""
        return prod(local_shape(Value("", self.dims, columns=self.columns)))


@dataclass(frozen=True, slots=True)
class Tile:
    """Products of one input whose results lie side by side: one after the other, or (interleaved) element by element.

    Attributes:
        body: the flat sums at the roots, in slices of whole granules.
        part: where that is.
    """

    outputs: list[Output]
    interleaved: bool
    body: str
    part: Roots

    @property
    def size(self) -> int:
        """Elements of all results on a core."""
        return sum(output.share for output in self.outputs)


def to_columns(low: Lowering, x: Held, outputs: list[Output], exact: bool = False) -> list[Held]:
    """Products of a value on rows with matrices whose outputs lie over columns; biases and a waiting norm included."""
    tile = summed(low, x, outputs, exact=exact)
    flat = (Dim("flat", tile.size),)
    whole = low.w.sent(tile.body, low.grid.line(Axis.ROWS), "payload.all", flat, (), (), exact=exact)
    return parts_of(low, whole, outputs)


def summed(
    low: Lowering, x: Held, outputs: list[Output], *, interleaved: bool = False, exact: bool = False, slices: int = 0
) -> Tile:
    """The products' sums at the roots of each column of cores, normed and with biases."""
    w, line = low.w, low.grid.line(Axis.ROWS)
    slices = slices or w.choices.row_slices
    root = low.norm_ahead(x.norm, slices) if x.norm else ""
    payload = _multiplied(low, x, outputs, interleaved)
    part = Roots(line.span, w.tree(line, slices), len(outputs) if interleaved else 1)
    at_root = w.value("payload.sum", w.values[payload].dims, (part,), ())
    w.emit(isa.Reduce(w.node, "sum", at_root, payload, line, "f32" if exact else w.choices.wire))
    body = w.value("payload.body", (Dim("flat", 0),), (part,), (), view=view_of(at_root))
    if x.norm:
        low.norm_taken(x.norm, root, body)
    tile = Tile(outputs, interleaved, body, part)
    if any(len(output.node.weights) > 1 for output in outputs):
        _add_biases(low, tile)
    return tile


def _multiplied(low: Lowering, x: Held, outputs: list[Output], interleaved: bool) -> str:
    """The tile's terms on every core."""
    w, terms = low.w, (Partial("sum", low.grid.rows),)
    payload = w.value("payload", (Dim("flat", sum(o.share for o in outputs)),), terms, (), w.choices.sums)
    parts, offset = [], 0
    for number, output in enumerate(outputs):
        view = view_of(payload, 0, len(outputs), number) if interleaved else view_of(payload, offset)
        label = f"{layered(output.node.out)[0]}.terms"
        parts.append(w.value(label, output.dims, terms, output.columns, w.choices.sums, view=view))
        offset += output.share
    weights = tuple(weights_of(low, x, output) for output in outputs)
    inner = tuple(dict.fromkeys(dim.name for output in outputs for dim in output.dims))
    w.emit(isa.Product(w.node, low.factor(x.norm.scaled if x.norm else x.name), weights, tuple(parts), inner))
    return payload


def activated(low: Lowering, tile: Tile, label: str, work: Callable[[str, str], None]) -> Held:
    """An activation of the sums at the roots: `work(result, gate view or body)`; its result is sent on."""
    w, line, output = low.w, low.grid.line(Axis.ROWS), tile.outputs[0]
    part = replace(tile.part, granule=1)
    active = w.value(f"{label}.body", (Dim("flat", output.share),), (part,), ())
    work(active, tile.body)
    name = w.sent(active, line, label, output.dims, (), output.columns, exact=False)
    return Held(name, "columns", output.dims)


def parts_of(low: Lowering, whole: str, outputs: list[Output]) -> list[Held]:
    """The results that lie side by side in a value, each by its name."""
    out, offset = [], 0
    for output in outputs:
        label = output.label or layered(output.node.out)[0]
        dtype = low.w.values[whole].dtype
        name = low.w.value(label, output.dims, (), output.columns, dtype, view=view_of(whole, offset))
        out.append(Held(name, "columns", output.dims))
        offset += output.share
    return out


def weights_of(low: Lowering, x: Held, output: Output) -> str:
    """The matrix that makes an output of a value on rows."""
    role, layer = layered(output.node.weights[0])
    held = matrix(low, role, layer, (*output.dims, *x.dims), output.head_columns, output.scale)
    if output.among:
        held = replace(held, picked=output.picked, among=output.among)
        role = f"{role}:{output.picked[0]}"
    return low.w.weight(role, (*x.dims, *output.dims), held, low.w.values[x.name].rows, output.columns)


def _add_biases(low: Lowering, tile: Tile) -> None:
    """Biases lie side by side as the results do; those without one are 0."""
    w = low.w
    has = [len(o.node.weights) > 1 for o in tile.outputs]
    name = "biases:" + "+".join(
        layered(o.node.weights[1])[0] if b else "0" for o, b in zip(tile.outputs, has, strict=True)
    )
    w.values[name] = Value(name, (Dim("flat", tile.size),), DType.F32, (), (), Kind.WEIGHT)
    offset = 0
    for number, (output, biased) in enumerate(zip(tile.outputs, has, strict=True)):
        if biased:
            role, layer = layered(output.node.weights[1])
            held = matrix(low, role, layer, output.dims, output.head_columns, output.scale)
            value = w.weight(role, output.dims, held, (), output.columns, DType.F32)
            view = view_of(name, 0, len(tile.outputs), number) if tile.interleaved else view_of(name, offset)
            w.values[value] = replace(w.values[value], view=view)
        offset += output.share
    mine = w.value("bias", (Dim("flat", tile.size),), (tile.part,), (), once=True)
    w.emit(isa.Slice(w.node, mine, name))
    w.emit(isa.Combine(w.node, "add", tile.body, tile.body, mine))


def to_rows(low: Lowering, x: Held, node: Node) -> Held:
    """The product of a value on columns whose outputs are the hidden state's columns, on rows."""
    w, grid = low.w, low.grid
    x = low.normed(x)
    role, layer = layered(node.weights[0])
    hidden = low.hidden_dims()
    over = grid.over_rows(HIDDEN)
    held = matrix(low, role, layer, (*hidden, *x.dims))
    weight = w.weight(role, (*x.dims, *hidden), held, over, w.values[x.name].columns)
    label = layered(node.out)[0]
    terms = w.value(f"{label}.terms", hidden, over, (Partial("sum", grid.columns),), w.choices.sums)
    w.emit(isa.Product(w.node, low.factor(x.name), (weight,), (terms,), (HIDDEN,)))
    at_root = w.joined(terms, grid.line(Axis.COLUMNS), exact=False)
    low.send_range()
    whole = Held(w.sent(at_root, grid.line(Axis.COLUMNS), label, hidden, over, (), exact=False), "rows", hidden)
    if len(node.weights) > 1:
        w.emit(isa.Combine(w.node, "add", whole.name, whole.name, vector_weight(low, node.weights[1], whole)))
    return whole
