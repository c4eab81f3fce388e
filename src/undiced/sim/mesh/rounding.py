"""Rounding of float32 arrays to the element types of programs. Knows types alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import ProgramFileError
from undiced.program.wafer.value import GROUPS, INTEGERS, DType

F32 = NDArray[np.float32]
Numbers = Literal["fp32", "wafer"]  # nothing is rounded; or every result is to its element type


def rounded(value: F32, dtype: DType) -> F32:
    """`value` as the float32 numbers nearest to it that `dtype` can hold, ties to even; 16-bit overflow is infinite.

    Raises:
        ProgramFileError: integers, whose scales depend on their neighbors.
    """
    if dtype is DType.F16:
        with np.errstate(over="ignore"):
            return value.astype(np.float16).astype(np.float32)
    if dtype is DType.BF16:
        bits = np.ascontiguousarray(value).view(np.uint32)
        even = (bits >> np.uint32(16) & np.uint32(1)) + np.uint32(0x7FFF)
        kept: F32 = np.where(np.isfinite(value), (bits + even) & np.uint32(0xFFFF0000), bits).view(np.float32)
        return kept
    if dtype in INTEGERS:
        raise ProgramFileError(
            f"Only weights can be {dtype.value}: their elements share scales.", remedy="Compile the program again."
        )
    return value


def quantized(rows: F32, dtype: DType) -> tuple[F32, F32]:
    """What integers and 16-bit scales hold of every core's rows, [rows, columns, rows of a share, elements]; and the
    scales of each row, [rows, columns, rows of a share, scales].

    A group is a part of a row, or as many whole rows as fit into one; its scale makes its largest element the largest
    integer.
    """
    size, (*grid, count, row) = GROUPS[dtype], rows.shape
    if row < size:
        together = max(1, size // row)
        groups = np.pad(rows, ((0, 0), (0, 0), (0, -count % together), (0, 0))).reshape(*grid, -1, together * row)
    else:
        groups = np.pad(rows, ((0, 0), (0, 0), (0, 0), (0, -row % size))).reshape(*grid, count, -1, size)
    scale = rounded(np.abs(groups).max(axis=-1, keepdims=True) / np.float32(INTEGERS[dtype]), DType.F16)
    held = np.rint(np.divide(groups, scale, out=np.zeros_like(groups), where=scale > 0)) + np.float32(0)  # no -0
    made = (np.clip(held, -INTEGERS[dtype], INTEGERS[dtype]) * scale).astype(np.float32)
    if row < size:
        every = np.repeat(scale[..., 0], together, axis=-1)[..., :count, None]
        return made.reshape(*grid, -1, row)[:, :, :count], np.ascontiguousarray(every)
    return made.reshape(*grid, count, -1)[..., :row], scale[..., 0]


def narrower(a: DType, b: DType) -> DType:
    """The type of what has been rounded to both."""
    return a if a is not DType.F32 else b
