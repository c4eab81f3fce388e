"""Shape rules: the width of the value that each operator makes, or a CompileError that names the node.

A rule sees the widths of the inputs and the shapes of the slots; values are (tokens, width), vectors are 1 x n.
"""

from __future__ import annotations

from undiced.core.manifest import WeightSlot
from undiced.model.node import View


def _vector(view: View, slot: WeightSlot, length: int) -> None:
    view.require(
        (slot.rows, slot.columns) == (1, length),
        f"weight {slot.name} is {slot.rows} x {slot.columns}, expected 1 x {length}",
    )


def _matrix(view: View, slot: WeightSlot, rows: int, columns: int) -> None:
    view.require(
        (slot.rows, slot.columns) == (rows, columns),
        f"weight {slot.name} is {slot.rows} x {slot.columns}, expected {rows} x {columns}",
    )


def embed(view: View) -> int:
    """One row of the table a token: the width of the table."""
    return view.slots[0].columns


def position_embed(view: View) -> int:
    """A table as wide as the value it is added to."""
    _matrix(view, view.slots[0], view.slots[0].rows, view.widths[0])
    return view.widths[0]


def rmsnorm(view: View) -> int:
    """Whole groups of `width` columns; a weight has one number a column of a group."""
    width = view.node.integer("width")
    view.require(width > 0 and view.widths[0] % width == 0, f"{view.widths[0]} columns in groups of {width}")
    for slot in view.slots:
        _vector(view, slot, width)
    return view.widths[0]


def layernorm(view: View) -> int:
    """Weight and bias as wide as the value."""
    for slot in view.slots:
        _vector(view, slot, view.widths[0])
    return view.widths[0]


def linear(view: View) -> int:
    """As wide as the matrix has rows."""
    weight = view.slots[0]
    _matrix(view, weight, weight.rows, view.widths[0])
    for bias in view.slots[1:]:
        _vector(view, bias, weight.rows)
    return weight.rows


def rope(view: View) -> int:
    """Whole heads, whose rotated columns lie inside."""
    node = view.node
    head_dim, dims = node.integer("head_dim"), node.integer("dims")
    view.require(head_dim > 0 and view.widths[0] % head_dim == 0, f"{view.widths[0]} columns in heads of {head_dim}")
    view.require(node.text("style") in ("half", "interleaved"), f"style {node.text('style')!r}")
    fits = dims % 2 == 0 and 0 < dims <= head_dim - node.integer("offset")
    view.require(fits, f"{dims} rotated columns of {head_dim}")
    for slot in view.slots:
        _vector(view, slot, dims // 2)
    return view.widths[0]


def attention(view: View) -> int:
    """Queries of all heads, keys and values of the grouped ones."""
    node = view.node
    heads, kv_heads, head_dim = (node.integer(a) for a in ("heads", "kv_heads", "head_dim"))
    view.require(heads % kv_heads == 0, f"{heads} heads over {kv_heads}")
    expected = (heads * head_dim, kv_heads * head_dim, kv_heads * head_dim)
    view.require(view.widths == expected, f"q, k, v are {view.widths} wide, expected {expected}")
    for sinks in view.slots:
        _vector(view, sinks, heads)
    return heads * head_dim


def mla_attention(view: View) -> int:
    """Queries of all heads, one latent and one rotated key; the result has v_dim columns per head.

    The first stack leads a head's nope_dim columns to those of the latent, the second leads from there to values.
    """
    node = view.node
    heads, nope, turned, v_dim, rank = (node.integer(a) for a in ("heads", "nope_dim", "rope_dim", "v_dim", "kv_rank"))
    expected = (heads * (nope + turned), rank, turned)
    view.require(view.widths == expected, f"q, latent, key are {view.widths} wide, expected {expected}")
    _matrix(view, view.slots[0], heads * rank, nope)
    _matrix(view, view.slots[1], heads * v_dim, rank)
    return heads * v_dim


def same(view: View) -> int:
    """All inputs have one width, and so has the result; "positions" does not count."""
    wide = {w for w in view.widths if w}
    view.require(len(wide) == 1, f"inputs are {view.widths} wide")
    return wide.pop()


def position_scale(view: View) -> int:
    """As wide as the input."""
    view.require(view.node.integer("floor") > 0, "floor must be positive")
    return view.widths[0]


def moe_route(view: View) -> int:
    """One weight per expert."""
    node = view.node
    experts = node.integer("experts")
    _matrix(view, view.slots[0], experts, view.widths[0])
    biases = node.integer("router_bias") + node.integer("selection_bias")
    view.require(len(view.slots) == 1 + biases, f"{len(view.slots) - 1} biases, expected {biases}")
    for slot in view.slots[1:]:
        _vector(view, slot, experts)
    return experts


def moe_ffn(view: View) -> int:
    """Three stacks of matrices that fit each other; as wide as the input."""
    experts, width = view.node.integer("experts"), view.widths[0]
    view.require(view.widths[1] == experts, f"{view.widths[1]} routes for {experts} experts")
    gate, up, down = view.slots[:3]
    ffn = gate.rows // experts
    _matrix(view, gate, experts * ffn, width)
    _matrix(view, up, experts * ffn, width)
    _matrix(view, down, experts * width, ffn)
    view.require(len(view.slots) in (3, 6), "experts have three weights, and three biases or none")
    for slot, rows in zip(view.slots[3:], (experts * ffn, experts * ffn, experts * width), strict=False):
        _vector(view, slot, rows)
    return width
