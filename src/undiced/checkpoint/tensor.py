"""Where one tensor lies in a checkpoint and how its numbers are stored. Data only; knows no file and no model."""

from __future__ import annotations

from msgspec import Struct


class TensorInfo(Struct, frozen=True):
    """One tensor of a checkpoint.

    Attributes:
        name: the file's name of it.
        shape: outermost dimension first (a weight matrix is outputs x inputs); () for a scalar.
        format: a key of `core.formats.FORMATS`.
        offset: bytes from the beginning of its file to its first byte; 0 where the file holds it in several tensors.
        nbytes: bytes it takes in `format`; in the file, unless `stored` says otherwise.
        stored: what the file's numbers are called where they are arranged anew; else "".
        stored_bytes: what it takes in the file then, scales and zeros included.
    """

    name: str
    shape: tuple[int, ...]
    format: str
    offset: int
    nbytes: int
    stored: str = ""
    stored_bytes: int = 0

    @property
    def precision(self) -> str:
        """What its numbers are called in the file."""
        return self.stored or self.format

    @property
    def file_bytes(self) -> int:
        """What it takes in the file."""
        return self.stored_bytes if self.stored else self.nbytes
