"""Obeys the weight manifest: turns each slot's sources into the parts that an executor packs or dequantizes.

Knows transforms and formats, no tensor name and no model family. What a file holds as it is wanted needs no numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from msgspec import Struct

from undiced.checkpoint.tensor import TensorInfo
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.formats import FORMATS
from undiced.core.manifest import Source, Transform, WeightSlot
from undiced.core.plain import ints

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from undiced.checkpoint import Checkpoint

Progress = Callable[[int, int], None]  # bytes done, bytes in all
_ANEW = "The program was made from other files; compile it from these."


class Part(Struct, frozen=True):
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
    row_index: memoryview
    transposed: bool


def parts_of(slot: WeightSlot, checkpoint: Checkpoint, known: dict[object, memoryview] | None = None) -> list[Part]:
    """The parts of a matrix slot, in order. known: rows that were chosen before, if many slots are asked for.

    Raises:
        CheckpointError: a tensor is missing or its shape does not make up the slot.
    """
    chosen = {} if known is None else known
    parts = [_part(source, checkpoint, slot.format, chosen) for source in slot.sources]
    found = sum(len(part.row_index) for part in parts)
    if found != slot.rows or not parts:
        raise CheckpointError(
            f"Weight {slot.name} has {found} rows in the checkpoint, {slot.rows} in the program.", remedy=_ANEW
        )
    return parts


def plain_vector_of(slot: WeightSlot, checkpoint: Checkpoint) -> memoryview[float] | None:
    """The values of a vector slot as the file holds them, (columns,) float32; None if they have to be made."""
    if len(slot.sources) != 1 or slot.sources[0].transforms:
        return None
    info = checkpoint.tensors.get(slot.sources[0].tensor)
    if info is None or info.format != "F32" or prod(info.shape) != slot.columns:
        return None
    return checkpoint.raw(info.name).cast("f")


def vector_of(slot: WeightSlot, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """The values of a vector slot, (columns,) float32."""
    import numpy as np

    values = np.concatenate([np.zeros(0, np.float32), *(_vector(source, checkpoint) for source in slot.sources)])
    if values.shape != (slot.columns,):
        raise CheckpointError(
            f"Weight {slot.name} has {values.size} values, the program wants {slot.columns}.", remedy=_ANEW
        )
    return np.ascontiguousarray(values, dtype=np.float32)


def matrix_of(slot: WeightSlot, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """A matrix slot dequantized, (rows, columns) float32: for the interpreter and for tests."""
    import numpy as np

    return np.concatenate([_dequantized(part) for part in parts_of(slot, checkpoint)])


def _dequantized(part: Part) -> NDArray[np.float32]:
    import numpy as np

    from undiced.checkpoint.decode import to_float

    info = TensorInfo("part", (part.rows, part.columns), part.format, 0, len(part.raw))
    values = to_float(info, part.raw)
    chosen: NDArray[np.float32] = (values.T if part.transposed else values)[np.asarray(part.row_index)]
    return chosen


def _part(source: Source, checkpoint: Checkpoint, form: str, known: dict[object, memoryview]) -> Part:
    info = checkpoint.tensors.get(source.tensor)
    if info is None:
        raise CheckpointError(f"{checkpoint.name}: tensor {source.tensor} is missing.", remedy=_ANEW)
    rows, columns, raw, steps = prod(info.shape[:-1]), info.shape[-1], checkpoint.raw(source.tensor), source.transforms
    turned = next((at for at, step in enumerate(steps) if step.kind == "transpose"), -1)
    if turned >= 0:
        chosen = _chosen(rows, steps[:turned], known).tolist()
        steps = steps[turned + 1 :]
        first, rows = chosen[0], len(chosen)
        if chosen != list(range(first, first + rows)) or any(step.kind == "transpose" for step in steps):
            raise UnsupportedError(
                f"Tensor {source.tensor}: the host packs runs of rows transposed, not a choice of them.",
                remedy="Use a GGUF file of the model, whose matrices are not transposed.",
            )
        row_bytes = FORMATS[info.format].file_bytes(columns)
        raw = raw[first * row_bytes : (first + rows) * row_bytes]
    if form == "F32" and FORMATS[info.format].group:  # the manifest wants what the codes stand for
        from undiced.checkpoint.decode import to_float

        raw = memoryview(to_float(TensorInfo(info.name, (rows, columns), info.format, 0, len(raw)), raw).tobytes())
    else:
        form = info.format
    return Part(raw, form, rows, columns, _chosen(columns if turned >= 0 else rows, steps, known), turned >= 0)


def _chosen(count: int, steps: tuple[Transform, ...], known: dict[object, memoryview]) -> memoryview:
    """Which of so many rows the steps leave, in order; int32."""
    key = count, steps
    if key not in known:
        index: Sequence[int] = range(count)
        for step in steps:
            index = _reordered(index, step)
        known[key] = ints(index)
    return known[key]


def _reordered(index: Sequence[int], transform: Transform) -> Sequence[int]:
    if transform.kind == "split":
        return index[transform.a : transform.a + transform.b]
    if transform.kind == "permute_rope":
        size, odd = divmod(len(index), transform.a)
        if odd:
            raise ValueError(f"{len(index)} rows are not those of {transform.a} heads")
        turned, half = transform.b, transform.b // 2
        order = [at // 2 + at % 2 * half for at in range(turned)] + list(range(turned, size))
        return [index[head * size + row] for head in range(transform.a) for row in order]
    if transform.kind == "every":
        return index[transform.a :: transform.b]
    raise CheckpointError(f"The transform {transform.kind} does not apply to matrices.", remedy=_ANEW)


def _vector(source: Source, checkpoint: Checkpoint) -> NDArray[np.float32]:
    import numpy as np

    from undiced.checkpoint.decode import to_float

    info = checkpoint.tensors.get(source.tensor)
    if info is None:
        raise CheckpointError(f"{checkpoint.name}: tensor {source.tensor} is missing.", remedy=_ANEW)
    values = to_float(info, checkpoint.raw(source.tensor)).reshape(-1)
    for transform in source.transforms:
        if transform.kind == "add_one":
            values = values + np.float32(1)
        else:
            values = values[np.asarray(_reordered(range(len(values)), transform))]
    return values


def resident_bytes(slot: WeightSlot) -> int:
    """Bytes of a slot as its checkpoint stores it: what loading progress counts."""
    return FORMATS[slot.format].file_bytes(slot.rows * slot.columns)
