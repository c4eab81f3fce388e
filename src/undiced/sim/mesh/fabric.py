"""What each mover does: reductions hop by hop in their trees' order, multicasts, hand-overs between regions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Owner, Roots
from undiced.program.wafer.tree import Tree, hops, roots
from undiced.program.wafer.value import DType, Value
from undiced.sim.mesh.cores import F32, Cores


def reduce(cores: Cores, i: isa.Reduce) -> None:
    """Join the terms of every line at its roots; every other core is left with nothing."""
    found = cores.roots_of(cores.values[i.result])
    assert found is not None
    tree, part = cores.trees[found[1].tree], found[1]
    flat = _lines(cores, cores.read(i.a), i.line)
    shape = cores.shape(i.result)
    made = np.full((*flat.shape[:-1], prod(shape)), np.nan, dtype=np.float32)
    length = flat.shape[-1] - part.riders
    share = prod(shape) - part.riders
    for which, root in enumerate(roots(tree)):
        own = np.zeros((*flat.shape[:-1], share + part.riders), dtype=np.float32)
        body = flat[..., :length][..., which * share : (which + 1) * share] if not part.whole else flat
        own[..., : body.shape[-1]] = body
        if part.riders:
            own[..., share:] = flat[..., length:]
        made[:, root] = _joined(cores, i, tree, which, own)[:, root]
    cores.write(i.result, _unlined(cores, made, i.line).reshape(cores.rows, cores.columns, cores.batch.size, *shape))


def _joined(cores: Cores, i: isa.Reduce, tree: Tree, which: int, own: F32) -> F32:
    wire, kept = DType(i.wire), cores.values[i.result].dtype
    join = _JOINS.get(i.operation) or partial(_top, cores.values[i.result].dims[0].size)
    held = cores.rounded_as(own, kept)
    for senders, receivers in hops(tree, which):
        sent = cores.rounded_as(held[:, list(senders)], wire)
        held[:, list(receivers)] = cores.rounded_as(join(held[:, list(receivers)], sent), kept)
    return held


def _top(rows: int, a: F32, b: F32) -> F32:
    """Two lists of `Select`, flat, of so many rows: the largest of both."""
    shape = *a.shape[:-1], rows, a.shape[-1] // rows
    both = np.concatenate((a.reshape(shape), b.reshape(shape)), axis=-1)
    order = np.lexsort((both[..., 1, :], -both[..., 0, :]), axis=-1)[..., : shape[-1]]
    return np.take_along_axis(both, order[..., None, :], -1).reshape(a.shape)


_JOINS: dict[str, Callable[[F32, F32], F32]] = {"sum": np.add, "max": np.maximum}


def _lines(cores: Cores, array: F32, line: isa.Line) -> F32:
    """[lines of all kinds, place on the line, tokens, flat]."""
    array = array.reshape(*array.shape[:3], -1)
    array = array if line.axis is Axis.COLUMNS else array.swapaxes(0, 1)
    count = cores.extent(line.axis) // line.span
    other = array.shape[0]
    return array[:, : count * line.span].reshape(other * count, line.span, *array.shape[2:])


def _unlined(cores: Cores, lines: F32, line: isa.Line) -> F32:
    """The inverse; cores beyond the last line hold 0."""
    extent = cores.extent(line.axis)
    count = extent // line.span
    array = lines.reshape(lines.shape[0] // count, count * line.span, *lines.shape[2:])
    if count * line.span < extent:
        array = np.pad(array, [(0, 0), (0, extent - count * line.span), (0, 0), (0, 0)])
    return array if line.axis is Axis.COLUMNS else array.swapaxes(0, 1)


def multicast(cores: Cores, i: isa.Multicast) -> None:
    """From the roots (each its slice) or the owner to every core of the line."""
    value = cores.values[i.a]
    lines = _lines(cores, cores.read(i.a), i.line)
    found = cores.roots_of(_parent(cores, value))
    sent = _from_owner(cores, i, lines) if found is None else _from_roots(cores, i, lines, found[1], value)
    sent = cores.rounded_as(sent, DType(i.wire))
    made = np.broadcast_to(sent[:, None], (sent.shape[0], i.line.span, *sent.shape[1:]))
    full = _unlined(cores, np.ascontiguousarray(made), i.line)
    cores.write(i.result, full.reshape(*full.shape[:3], *_shape(cores, i.result)))


def _shape(cores: Cores, name: str) -> tuple[int, ...]:
    return cores.read(name, allocate=True).shape[3:] if cores.values[name].view is not None else cores.shape(name)


def _parent(cores: Cores, value: Value) -> Value:
    while value.view is not None:
        value = cores.values[value.view.parent]
    return value


def _from_roots(cores: Cores, i: isa.Multicast, lines: F32, part: Roots, value: Value) -> F32:
    at = roots(cores.trees[part.tree])
    wanted = prod(_shape(cores, i.result))
    if part.whole or lines.shape[-1] == wanted:  # what every root holds
        return lines[:, at[0]]
    return np.concatenate([lines[:, root] for root in at], axis=-1)[..., :wanted]


def _from_owner(cores: Cores, i: isa.Multicast, lines: F32) -> F32:
    owners = cores.owners[i.a]
    return np.stack([lines[:, owner, t] for t, owner in enumerate(owners)], axis=1)


def slice_(cores: Cores, i: isa.Slice) -> None:
    """Each root's own part of what its whole line holds."""
    found = cores.roots_of(cores.values[i.result])
    assert found is not None
    axis, part = found
    tree = cores.trees[part.tree]
    a = cores.per_token(i.a)
    flat = a.reshape(*a.shape[:3], -1)
    share = prod(cores.shape(i.result))
    made = np.full((*flat.shape[:3], share), np.nan, dtype=np.float32)
    for which, root in enumerate(roots(tree)):
        own = flat[..., which * share : (which + 1) * share]
        for at in range(root, cores.extent(axis) // tree.span * tree.span, tree.span):
            here = (at, slice(None)) if axis is Axis.ROWS else (slice(None), at)
            made[here][..., : own.shape[-1]] = own[here]
    cores.write(i.result, made)


def return_(cores: Cores, i: isa.Return) -> None:
    """Nothing to compute: whoever drives the executor hands the token to the next step."""
    cores.read(i.a)
