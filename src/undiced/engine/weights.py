"""Obeys the weight manifest: turns each slot's sources into the parts that an executor packs or dequantizes.

Knows transforms and formats, no tensor name and no model family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.decode import to_float
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.formats import FORMATS
from undiced.core.manifest import Source, Transform, WeightSlot

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint

Progress = Callable[[int, int], None]  # bytes done, bytes in all
_ANEW = "The program was made from other files; compile it from these."


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one tensor, as the native packer takes them.

    Attributes:
        raw: the tensor's bytes in the file.
        format: a key of FORMATS.
        rows, columns: the tensor's shape in the file, experts' matrices stacked.
        row_index: int32, the rows that the slot takes, in order, counted after a transposition.
        transposed: whether the slot wants (columns, rows).
    """

    raw: memoryview
    format: str
    rows: int
    columns: int
    row_index: NDArray[np.int32]
    transposed: bool


def parts_of(slot: WeightSlot, checkpoint: Checkpoint) -> list[Part]:
    """The parts of a matrix slot, in order.

    Raises:
        CheckpointError: a tensor is missing or its shape does not make up the slot.
    """
    parts = [_part(source, checkpoint, slot.format) for source in slot.sources]
    found = sum(len(part.row_index) for part in parts)
    if found != slot.rows or not parts:
        raise CheckpointError(
            f"Weight {slot.name} has {found} rows in the checkpoint, {slot.rows} in the program.", remedy=_ANEW
        )
    return parts


def vector_of(slot: WeightSlot, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """The values of a vector slot, (columns,) float32."""
    values = np.concatenate([np.zeros(0, np.float32), *(_vector(source, checkpoint) for source in slot.sources)])
    if values.shape != (slot.columns,):
        raise CheckpointError(
            f"Weight {slot.name} has {values.size} values, the program wants {slot.columns}.", remedy=_ANEW
        )
    return np.ascontiguousarray(values, dtype=np.float32)


def matrix_of(slot: WeightSlot, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """A matrix slot dequantized, (rows, columns) float32: for the interpreter and for tests."""
    return np.concatenate([_dequantized(part) for part in parts_of(slot, checkpoint)])


def _dequantized(part: Part) -> NDArray[np.float32]:
    info = TensorInfo("part", (part.rows, part.columns), part.format, 0, len(part.raw))
    values = to_float(info, part.raw)
    chosen: NDArray[np.float32] = (values.T if part.transposed else values)[part.row_index]
    return chosen


def _part(source: Source, checkpoint: Checkpoint, form: str) -> Part:
    info = checkpoint.tensors.get(source.tensor)
    if info is None:
        raise CheckpointError(f"{checkpoint.name}: tensor {source.tensor} is missing.", remedy=_ANEW)
    columns, raw = info.shape[-1], checkpoint.raw(source.tensor)
    rows = int(np.prod(info.shape[:-1], dtype=np.int64)) if len(info.shape) > 1 else 1
    transposed = False
    index = np.arange(rows, dtype=np.int32)
    for transform in source.transforms:
        if transform.kind == "transpose":
            if transposed or not np.array_equal(index, np.arange(index[0], index[0] + len(index))):
                raise UnsupportedError(
                    f"Tensor {source.tensor}: the host packs runs of rows transposed, not a choice of them.",
                    remedy="Use a GGUF file of the model, whose matrices are not transposed.",
                )
            row_bytes = FORMATS[info.format].file_bytes(columns)
            raw, rows = raw[index[0] * row_bytes : (index[-1] + 1) * row_bytes], len(index)
            transposed, index = True, np.arange(columns, dtype=np.int32)
        else:
            index = _reordered(index, transform)
    if form == "F32" and FORMATS[info.format].group:  # the manifest wants what the codes stand for
        chosen = TensorInfo(info.name, (rows, columns), info.format, 0, len(raw))
        raw = memoryview(to_float(chosen, raw).tobytes())
    else:
        form = info.format
    return Part(raw, form, rows, columns, np.ascontiguousarray(index), transposed)


def _reordered(index: NDArray[np.int32], transform: Transform) -> NDArray[np.int32]:
    if transform.kind == "split":
        return index[transform.a : transform.a + transform.b]
    if transform.kind == "permute_rope":
        heads = index.reshape(transform.a, -1)
        turned = heads[:, : transform.b].reshape(transform.a, 2, transform.b // 2).swapaxes(1, 2)
        return np.concatenate([turned.reshape(transform.a, -1), heads[:, transform.b :]], axis=1).reshape(-1)
    if transform.kind == "every":
        return index[transform.a :: transform.b]
    raise CheckpointError(f"The transform {transform.kind} does not apply to matrices.", remedy=_ANEW)


def _vector(source: Source, checkpoint: Checkpoint) -> NDArray[np.float32]:
    info = checkpoint.tensors.get(source.tensor)
    if info is None:
        raise CheckpointError(f"{checkpoint.name}: tensor {source.tensor} is missing.", remedy=_ANEW)
    values = to_float(info, checkpoint.raw(source.tensor)).reshape(-1)
    for transform in source.transforms:
        if transform.kind == "add_one":
            values = values + np.float32(1)
        else:
            values = values[_reordered(np.arange(len(values), dtype=np.int32), transform)]
    return values


def resident_bytes(slot: WeightSlot) -> int:
    """Bytes of a slot as its checkpoint stores it: what loading progress counts."""
    return FORMATS[slot.format].file_bytes(slot.rows * slot.columns)
