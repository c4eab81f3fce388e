"""A matrix of packed integers that a method has found: its parts checked against each other, and its recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.schemes.assembly import Assembly
from undiced.checkpoint.schemes.blocks import chosen_groups, integers, narrow
from undiced.checkpoint.schemes.files import Files
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.formats import FORMATS

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IntMatrix:
    """What a method knows of one module.

    Attributes:
        name: the weight's name.
        rows, columns: outputs, inputs.
        bits: of a code.
        groups: scales a row.
        stored: what the file's numbers are called.
        parts: names of the tensors.
        codes: -> (rows, columns * bits / 8), in the order of columns.
        factors: -> scales and zeros, each (rows, groups).
        choice: -> the group of each column, where they are not in order; or None.
    """

    name: str
    rows: int
    columns: int
    bits: int
    groups: int
    stored: str
    parts: tuple[str, ...]
    codes: Callable[[], Bytes]
    factors: Callable[[], tuple[Floats, Floats]]
    choice: Callable[[], NDArray[np.int64]] | None = None

    def add_to(self, found: Assembly, files: Files) -> None:
        """Into the format that holds it exactly: narrow, where columns that share a scale lie together."""
        group = self.columns // self.groups
        form = narrow(f"INT{self.bits}", self.columns, group) if self.choice is None else "F32"
        info = TensorInfo(
            self.name, (self.rows, self.columns), form, 0, FORMATS[form].file_bytes(self.rows * self.columns),
            self.stored, files.bytes_of(*self.parts),
        )  # fmt: skip
        found.add(info, lambda: self._bytes(form), *self.parts)

    def _bytes(self, form: str) -> Bytes:
        scales, zeros = self.factors()
        if self.choice is not None:
            return chosen_groups(self.codes(), scales, zeros, self.bits, self.choice())
        return integers(form, self.codes(), scales, zeros, self.bits)


def stored_name(method: str, bits: int, columns: int, groups: int) -> str:
    """As people say it: `GPTQ int4 g128`."""
    return f"{method} int{bits}" + ("" if groups == 1 else f" g{columns // groups}")
