"""Rounding of float32 arrays to the element types of programs. Knows types alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import ProgramFileError
from undiced.program.wafer.value import GROUPS, DType

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
    if dtype in GROUPS:
        raise ProgramFileError(
            f"Only weights can be {dtype.value}: their elements share scales.", remedy="Compile the program again."
        )
    return value


def narrower(a: DType, b: DType) -> DType:
    """The type of what has been rounded to both."""
    return a if a is not DType.F32 else b
