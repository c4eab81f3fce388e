"""The memory of a region's cores as bytes: values of level 1 put where they lie, and read from there.

Knows frames and element types. Arrays are level 1's: [rows, columns, *share], an axis that repeats of length 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import UnsupportedError
from undiced.program.wafer.integers import NIBBLES, scales
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.shifts import ring
from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower.frame import Frame, size_of

Bytes = NDArray[np.uint8]
F32 = NDArray[np.float32]
_STORED: dict[DType, type[np.generic]] = {DType.F32: np.float32, DType.F16: np.float16, DType.BF16: np.uint16}


def grid(memory: Bytes, frame: Frame) -> Bytes:
    """[rows, columns, bytes] of a region, of [height, width, bytes] of the mesh."""
    (x, y), rect = frame.origin, frame.region.rect
    held = memory[y : y + rect.height, x : x + rect.width]
    return held.swapaxes(0, 1) if frame.region.turned else held


def encoded(array: F32, dtype: DType) -> NDArray[np.generic]:
    """Numbers that a type can hold, as it holds them."""
    if dtype is DType.F32:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float16) if dtype is DType.F16 else _high_halves(array)


def _high_halves(array: F32) -> NDArray[np.generic]:
    halves: NDArray[np.generic] = (np.ascontiguousarray(array).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return halves


def decoded(array: NDArray[np.generic], dtype: DType) -> F32:
    """The inverse."""
    if dtype is DType.BF16:
        made: F32 = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return made
    return array.astype(np.float32)


def elements(memory: Bytes, frame: Frame, first: int, count: int, dtype: DType) -> NDArray[np.generic]:
    """[rows, columns, count] elements from a byte on, to read or to write.

    Raises:
        UnsupportedError: of integers.
    """
    if dtype not in _STORED:
        raise UnsupportedError(f"{dtype.value} has no level 2.", remedy="Compile with --weights fp16.")
    return grid(memory, frame)[:, :, first : first + count * size_of(dtype)].view(_STORED[dtype])


def fill(memory: Bytes, frame: Frame, bound: Mapping[str, F32]) -> None:
    """Put weights and tables, caches and states where they lie, what the host sends where it comes, and what code is
    loaded with; those that the run lacks are left out."""
    for constant in frame.constants.values():
        elements(memory, frame, constant.address, constant.numbers.shape[2], DType.F32)[...] = constant.numbers
    for name, array in bound.items():
        if name in frame.hosted:
            _lay(
                elements(memory, frame, frame.hosted[name], frame.shares.size(name), frame.value(name).dtype),
                array,
                frame.value(name).dtype,
            )
        elif name in frame.homes and scales(name) in frame.homes:
            _fill_integers(memory, frame, name, array, bound[scales(name)])
        elif name in frame.joined:
            _fill_rows(memory, frame, name, array)
        elif name in frame.homes and name in frame.shares.values:
            put(memory, frame, name, array)


def put(memory: Bytes, frame: Frame, name: str, array: F32) -> None:
    """One value with memory of its own; of a cache as many positions as there are."""
    dtype, lying = frame.value(name).dtype, frame.lying(name)
    shape = lying.shape(name)
    there = elements(memory, frame, frame.homes[name], lying.size(name), dtype)
    rows, columns = there.shape[:2]
    if name in frame.shifted:
        array = _shifted(array, rows, columns)
    if POSITION in lying.names(name) and array.shape[2:] != shape:
        array = _resized(array, shape, lying.names(name).index(POSITION))
    _lay(there, array, dtype)


def _lay(there: NDArray[np.generic], array: F32, dtype: DType) -> None:
    flat = encoded(array, dtype).reshape(*array.shape[:2], -1)
    there[...] = np.broadcast_to(flat, (*there.shape[:2], flat.shape[-1]))


def _shifted(array: F32, rows: int, columns: int) -> F32:
    """With the tile at each core that the first step of a product by shifts wants there."""
    order = np.array(ring(rows))
    number = np.argsort(order)
    down, across = np.arange(rows)[:, None], np.arange(columns)[None, :]
    made: F32 = np.broadcast_to(array, (rows, columns, *array.shape[2:]))[
        order[(number[down] + number[across]) % rows], across
    ]
    return made


def _resized(array: F32, shape: tuple[int, ...], axis: int) -> F32:
    made = np.zeros((*array.shape[:2], *shape), dtype=np.float32)
    count = min(array.shape[2 + axis], shape[axis])
    some = (slice(None),) * (2 + axis) + (slice(count),)
    made[some] = array[some]
    return made


def _fill_integers(memory: Bytes, frame: Frame, name: str, array: F32, scale: F32) -> None:
    """A weight's rows as integers, nibbles two in a byte from 0 on, and the scales of their parts."""
    row, dtype, cores = frame.joined[name], frame.value(name).dtype, grid(memory, frame)
    rows = array.reshape(*array.shape[:2], -1, len(row.places))
    for number, part in enumerate(row.parts):
        by = np.broadcast_to(scale[..., number, None], rows[..., part.start : part.stop].shape)
        held = np.rint(
            np.divide(rows[..., part.start : part.stop], by, out=np.zeros(by.shape, np.float32), where=by > 0)
        )
        for place, column in zip(row.places[part.start : part.stop], np.moveaxis(held, -1, 0), strict=True):
            _put_integers(cores, frame.homes[row.block], row.bytes(dtype), place, column, dtype)
    first = frame.homes[scales(name)]
    flat = encoded(scale, DType.F16).reshape(*scale.shape[:2], -1)
    elements(memory, frame, first, flat.shape[-1], DType.F16)[...] = flat


def _put_integers(cores: Bytes, first: int, pitch: int, place: int, column: F32, dtype: DType) -> None:
    """One element of each row."""
    at = first + (place if dtype is DType.I8 else place // 2)
    there = cores[:, :, at : at + (column.shape[-1] - 1) * pitch + 1 : pitch]
    if dtype is DType.I8:
        there[...] = column.astype(np.int8).view(np.uint8)
    else:
        there |= ((column + NIBBLES).astype(np.uint8) << np.uint8(4 * (place % 2))).astype(np.uint8)


def _fill_rows(memory: Bytes, frame: Frame, name: str, array: F32) -> None:
    """A weight's rows among those that they are joined with."""
    row, dtype = frame.joined[name], frame.value(name).dtype
    own = len(row.places)
    count = frame.shares.size(name) // own
    block = elements(memory, frame, frame.homes[row.block], count * row.pitch, dtype)
    flat = encoded(array, dtype).reshape(*array.shape[:2], count, own)
    for index in range(count):
        places = [index * row.pitch + place for place in row.places]
        block[:, :, places] = flat[:, :, index]


def read(memory: Bytes, frame: Frame, name: str) -> F32:
    """[rows, columns, *share] of a value or a view as every core has it, caches with all positions that they have room
    for; where a core has no part in it, whatever lies there. Of a root's slice, what lies at the first."""
    lying = frame.lying(name)
    places = [frame.step(name, index) for index in range(lying.size(name))]
    low, high = min(places), max(places)
    dtype = frame.value(name).dtype
    first = frame.address(name) + low * size_of(dtype)
    held = elements(memory, frame, first, high - low + 1, dtype)[:, :, [place - low for place in places]]
    return decoded(held, dtype).reshape(*held.shape[:2], *lying.shape(name))
