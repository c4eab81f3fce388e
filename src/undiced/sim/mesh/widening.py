"""What `Widen` computes: rows of narrow weights as 16-bit floats; and a product's rows with those that it left."""

from __future__ import annotations

import numpy as np

from undiced.core.errors import ProgramFileError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.ahead import Rows, rows_of_product, rows_of_widen
from undiced.program.wafer.integers import scales
from undiced.program.wafer.share import Shares
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import GROUPS, DType
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.rounding import F32, rounded


def widen(cores: Cores, i: isa.Widen) -> None:
    """[rows, columns, 1, rows of words, rows of a word, elements], which nothing of a token changes."""
    rows = rows_of_widen(i, cores.values.all)
    made = np.zeros((cores.rows, cores.columns, i.count, len(rows.widened), rows.length), np.float32)
    for number, name in enumerate(i.weights):
        held = _held(cores, name, rows, number)
        for which in range(len(rows.widened)):
            own = [row for word in range(i.start, i.start + i.count) if (row := rows.row(word, which)) < rows.count]
            made[:, :, : len(own), which, rows.places(number)] = held[:, :, own]
    cores.keep(i.result, made.reshape(*made.shape[:2], 1, -1), DType.F16)


def _held(cores: Cores, name: str, rows: Rows, number: int) -> F32:
    """[rows, columns, rows of a share, elements]: what is widened of a weight; its numbers where nothing is rounded."""
    held = cores.bound[name]
    held = held.reshape(*held.shape[:2], rows.count, rows.lengths[number])
    own = cores.bound.get(scales(name))
    return held if own is None else codes(held, own.reshape(*own.shape[:2], rows.count, -1), rows.dtype)


def codes(rows: F32, scale: F32, dtype: DType) -> F32:
    """The 16-bit floats of rows [.., elements] that their scales [.., parts] are multiplied by: the product of two of
    them is exact in 32 bits.
    """
    by = np.broadcast_to(np.repeat(scale, GROUPS[dtype], axis=-1)[..., : rows.shape[-1]], rows.shape)
    return rounded(np.divide(rows, by, out=np.zeros_like(rows), where=by > 0), DType.F16)


def overlaid(cores: Cores, i: isa.Product, weight: str, held: F32) -> F32:
    """A product's weights [rows, columns, *share], those rows that were widened ahead from where they lie.

    Raises:
        ProgramFileError: no rows of it can be.
    """
    values = cores.values.all
    rows = rows_of_product(i, Shares(values, ()))
    if rows is None:
        raise ProgramFileError(f"No rows of {weight} can be widened ahead.")
    there = cores.full(cores.read(i.ahead)[:, :, 0])
    there = there.reshape(*there.shape[:2], -1, len(rows.widened), rows.length)
    whole = np.array(cores.full(held)).reshape(cores.rows, cores.columns, rows.count, -1)
    places = rows.places(i.weights.index(weight))
    for which, field in enumerate(rows.widened):
        own = whole[:, :, field :: len(FIELDS[rows.dtype])][:, :, : there.shape[2]]
        own[...] = there[:, :, : own.shape[2], which, places]
    return whole.reshape(cores.rows, cores.columns, *held.shape[2:])
