"""Arrays as numpy sees them in the memory of all cores, [height, width, bytes], and what a kernel fills in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiced.sim.fabric.kernel.array import BYTES, NUMPY, Array
from undiced.sim.fabric.kernel.cores import Cores

ALIGN_BYTES = 8


def start(
    width: int, height: int, size_bytes: int, given: list[tuple[Array, Cores, NDArray[np.generic]]]
) -> NDArray[np.uint8]:
    """Memory before the first cycle: zero, but for what is given."""
    memory = np.zeros((height, width, max(ALIGN_BYTES, size_bytes)), np.uint8)
    for array, cores, values in given:
        values_of(memory, array)[cores.at] = values
    return memory


def values_of(memory: NDArray[np.uint8], array: Array) -> NDArray[np.generic]:
    """The elements of an array in every core, [height, width, ...], as a view of the memory."""
    size = BYTES[array.dtype]
    elements = memory.view(NUMPY[array.dtype])[:, :, array.address // size + array.offset :]
    strides = (*elements.strides[:2], *(stride * size for stride in array.strides))
    return np.lib.stride_tricks.as_strided(elements, (*elements.shape[:2], *array.shape), strides)
