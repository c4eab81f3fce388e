"""Sums in the order and with the roundings of the cores: multiply-adds of 16 bits, and trees hop by hop."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.instruction import Join
from undiced.program.wafer.tree import Tree, hops
from undiced.program.wafer.value import DType
from undiced.sim.mesh.rounding import F32, rounded


def multiply_add_f16(x: F32, w: F32, start: F32 | None) -> F32:
    """[..., m, inner] by [..., inner, n] of 16-bit numbers, added input by input; every sum is rounded to 16 bits."""
    shape = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
    total = np.zeros((*shape, x.shape[-2], w.shape[-1]), dtype=np.float32)
    if start is not None:
        total[...] = start
    for k in range(x.shape[-1]):
        total = rounded(total + x[..., k, None] * w[..., k, None, :], DType.F16)
    return total


@lru_cache(maxsize=1024)
def rounds(tree: Tree) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]:
    """Senders and receivers of all slices, round by round: places on the line times slices, plus the slice."""
    slices = [hops(tree, which) for which in range(tree.slices)]
    out = []
    for number in range(max(map(len, slices))):
        pairs = [
            (sender * tree.slices + which, receiver * tree.slices + which)
            for which, turns in enumerate(slices)
            if number < len(turns)
            for sender, receiver in zip(*turns[number], strict=True)
        ]
        out.append((np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])))
    return tuple(out)


def join(held: F32, tree: Tree, operation: Join, lists: int, kept: DType | None, wire: DType | None) -> None:
    """Join the terms of lines in place, hop by hop, so that roots hold the whole.

    Args:
        held: [lines, span, slices, ...].
        lists: of "top": how many rows the flat last dimension has (values, ids, and what they carry).
        kept, wire: types that a sum and what is sent are rounded to; None: nothing is.
    """
    flat = held.reshape(held.shape[0], -1, *held.shape[3:])
    assert np.may_share_memory(flat, held)
    joined = partial(_top, lists) if operation == "top" else _JOINS[operation]
    for senders, receivers in rounds(tree):
        sent = flat[:, senders] if wire is None else rounded(flat[:, senders], wire)
        made = joined(flat[:, receivers], sent)
        flat[:, receivers] = made if kept is None else rounded(made, kept)


def _top(rows: int, a: F32, b: F32) -> F32:
    """The largest of two flat lists of `rows` rows; of equal values the lower id comes first."""
    shape = *a.shape[:-1], rows, a.shape[-1] // rows
    both = np.concatenate((a.reshape(shape), b.reshape(shape)), axis=-1)
    order = np.lexsort((both[..., 1, :], -both[..., 0, :]), axis=-1)[..., : shape[-1]]
    taken: F32 = np.take_along_axis(both, order[..., None, :], -1)
    return taken.reshape(a.shape)


_JOINS: dict[Join, Callable[[F32, F32], F32]] = {"sum": np.add, "max": np.maximum}
