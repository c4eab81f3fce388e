"""Which elements of a whole value each core's share holds. Knows layouts alone."""

from __future__ import annotations

import numpy as np

from undiced.program.wafer.layout import Axis, Shard, indices
from undiced.program.wafer.value import Value, local_shape
from undiced.sim.mesh.batch import Ints


def identities(value: Value, rows: int, columns: int, positions: int = 0) -> Ints:
    """[rows, columns, share]: the flat index of each element in the whole value, -1 for padding; shares are those that
    `positions` filled positions make.
    """
    flat: Ints = np.zeros((rows, columns, 1), dtype=np.int64)
    for dim, share in zip(value.dims, local_shape(value, positions), strict=True):
        own = along(value, dim.name, dim.size, rows, columns)[..., None, :share]
        joined = np.where((flat[..., None] < 0) | (own < 0), -1, flat[..., None] * dim.size + own)
        flat = joined.reshape(rows, columns, -1)
    return flat


def along(value: Value, dim: str, size: int, rows: int, columns: int) -> Ints:
    """The index of each element along one dimension, -1 for padding: [rows, columns, share of the dimension], where an
    axis that doesn't share it out has length 1.
    """
    for axis, parts in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
        for number, part in enumerate(parts):
            if isinstance(part, Shard) and part.dim == dim:
                ids = np.array(indices(parts, number, size, rows if axis is Axis.ROWS else columns))
                return ids[:, None] if axis is Axis.ROWS else ids[None]
    return np.arange(size)[None, None]
