"""Where one tensor lies in a checkpoint and how its numbers are stored. Data only; knows no file and no model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a checkpoint.

    Attributes:
        name: the file's name of it.
        shape: outermost dimension first (a weight matrix is outputs x inputs); () for a scalar.
        format: a key of `core.formats.FORMATS`.
        offset: bytes from the beginning of its file to its first byte.
        nbytes: bytes it takes in the file.
    """

    name: str
    shape: tuple[int, ...]
    format: str
    offset: int
    nbytes: int
