"""Sums in the order and with the roundings of the cores: products input by input, and trees hop by hop.

The native module computes them; where it is older than this file, numpy does, which is their obvious twin.
"""

from __future__ import annotations

import os
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from undiced import _native
from undiced.program.wafer.instruction import Join
from undiced.program.wafer.tree import Tree, hops
from undiced.program.wafer.value import DType
from undiced.sim.mesh.rounding import F32, rounded

_THREADS = min(4, os.cpu_count() or 1)
_NATIVE = hasattr(_native, "mesh_join")
_NATIVE_TYPES = (None, DType.F32, DType.F16)


def multiply_add(x: F32, w: F32, start: F32 | None, *, half: bool) -> F32:
    """[..., m, inner] by [..., inner, n], added to `start` input by input.

    Args:
        half: all hold 16-bit numbers, and every sum is rounded to 16 bits.
    """
    lead = x.shape[:-2] if x.shape[:-2] == w.shape[:-2] else np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
    total = np.zeros((*lead, x.shape[-2], w.shape[-1]), dtype=np.float32)
    if start is not None:
        total[...] = start
    if not _NATIVE:
        return _added(x, w, total, half)
    tiles = prod(lead)
    flat = total.reshape(tiles, *total.shape[-2:])
    _native.mesh_multiply_add(_tiles(x, lead, tiles), _tiles(w, lead, tiles), flat, half, _THREADS)
    return total


def _tiles(array: F32, lead: tuple[int, ...], tiles: int) -> F32:
    """[tiles, rows, columns], contiguous."""
    array = array if array.shape[:-2] == lead else np.broadcast_to(array, (*lead, *array.shape[-2:]))
    return np.ascontiguousarray(array.reshape(tiles, *array.shape[-2:]))


def _added(x: F32, w: F32, total: F32, half: bool) -> F32:
    for k in range(x.shape[-1]):
        total = total + x[..., k, None] * w[..., k, None, :]
        total = rounded(total, DType.F16) if half else total
    return total


@lru_cache(maxsize=1024)
def rounds(tree: Tree) -> tuple[NDArray[np.int32], ...]:
    """(hops, 2) senders and receivers of all slices, round by round: places on the line times slices, plus the slice.

    No receiver stands twice in a round, and none of its senders receives in it.
    """
    slices = [hops(tree, which) for which in range(tree.slices)]
    out = []
    for number in range(max(map(len, slices))):
        pairs = [
            (sender * tree.slices + which, receiver * tree.slices + which)
            for which, turns in enumerate(slices)
            if number < len(turns)
            for sender, receiver in zip(*turns[number], strict=True)
        ]
        out.append(np.array(pairs, dtype=np.int32).reshape(-1, 2))
    return tuple(out)


@lru_cache(maxsize=1024)
def _all_hops(tree: Tree) -> NDArray[np.int32]:
    return np.concatenate(rounds(tree)) if rounds(tree) else np.zeros((0, 2), dtype=np.int32)


def join(
    held: F32, tree: Tree, operation: Join, lists: tuple[int, int], kept: DType | None, wire: DType | None
) -> None:
    """Join the terms of lines in place, hop by hop, so that roots hold the whole.

    Args:
        held: [lines, span, slices, tokens, share], contiguous.
        lists: of "top": how many rows a share has (values, ids, and what they carry), and elements a list.
        kept, wire: types that a sum and what is sent are rounded to; None: nothing is.
    """
    flat = held.reshape(held.shape[0], held.shape[1] * held.shape[2], *held.shape[3:])
    assert np.may_share_memory(flat, held)
    if _NATIVE and operation in ("sum", "max") and kept in _NATIVE_TYPES and wire in _NATIVE_TYPES:
        vectors = flat.reshape(*flat.shape[:2], -1)
        half = (wire is DType.F16, kept is DType.F16)
        _native.mesh_join(vectors, _all_hops(tree), operation == "max", *half, _THREADS)
        return
    for pairs in rounds(tree):
        senders, receivers = pairs[:, 0], pairs[:, 1]
        sent = flat[:, senders] if wire is None else rounded(flat[:, senders], wire)
        made = _joined(flat[:, receivers], sent, operation, lists)
        flat[:, receivers] = made if kept is None else rounded(made, kept)


def _joined(a: F32, b: F32, operation: Join, lists: tuple[int, int]) -> F32:
    if operation == "top":
        return _top(a, b, *lists)
    if operation == "two":
        return _two(a, b)
    joined: F32 = np.add(a, b) if operation == "sum" else np.maximum(a, b)
    return joined


def _two(a: F32, b: F32) -> F32:
    """The two largest of each two pairs, as cores find them: by maxima and minima."""
    first, second = a[..., 0::2], b[..., 0::2]
    made = np.empty_like(a)
    made[..., 0::2] = np.maximum(first, second)
    made[..., 1::2] = np.maximum(np.minimum(first, second), np.maximum(a[..., 1::2], b[..., 1::2]))
    return made


def _top(a: F32, b: F32, rows: int, count: int) -> F32:
    """The `count` largest of each two lists of `rows` rows; of equal values the lower id comes first."""
    shape = *a.shape[:-1], rows, a.shape[-1] // rows // count, count
    both = np.concatenate((a.reshape(shape), b.reshape(shape)), axis=-1)
    order = np.lexsort((both[..., 1, :, :], -both[..., 0, :, :]), axis=-1)[..., :count]
    taken: F32 = np.take_along_axis(both, order[..., None, :, :], -1)
    return taken.reshape(a.shape)
