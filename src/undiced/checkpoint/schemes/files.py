"""The stored tensors of a folder, as arrays: shapes and dtypes are checked, and numbers that must be finite are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.quote import quoted

Words = NDArray[np.uint32]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

PARTS_REMEDY = "The folder is incomplete or was converted wrongly; fetch it again, or use a GGUF file of the model."
FLOATS = ("F32", "F16", "BF16", "F8_E8M0")


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as a file has it; `dtype` is safetensors' name of it."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int


class Files:
    """All tensors of a folder by name.

    Attributes:
        stored: their dtypes and shapes.
        name: the model's, for messages.
    """

    def __init__(self, name: str, stored: Mapping[str, Stored], view: Callable[[str], memoryview]) -> None:
        self.name, self.stored, self._view = name, stored, view

    def modules(self, suffix: str) -> list[str]:
        """What stands before a suffix in names of tensors, in order."""
        return [name.removesuffix(suffix) for name in self.stored if name.endswith(suffix)]

    def need(self, name: str, dtypes: tuple[str, ...], dims: int | None = None) -> Stored:
        """A tensor that must be there, of one of these dtypes and so many dimensions.

        Raises CheckpointError if it is missing or has other dimensions, UnsupportedError for another dtype.
        """
        found = self.stored.get(name)
        if found is None:
            raise CheckpointError(f"{self.name}: the tensor {quoted(name)} is missing.", remedy=PARTS_REMEDY)
        if found.dtype not in dtypes:
            raise UnsupportedError(
                f"{self.name}: the tensor {quoted(name)} has the dtype {quoted(found.dtype)}.",
                remedy=f"Here {' or '.join(dtypes)} is read; use another conversion of the model.",
            )
        if (dims is not None and len(found.shape) != dims) or 0 in found.shape:
            raise self.odd(name, f"has the shape {found.shape}, not one of {dims} dimensions")
        return found

    def odd(self, name: str, what: str) -> CheckpointError:
        """A tensor that does not fit the others."""
        return CheckpointError(f"{self.name}: the tensor {quoted(name)} {what}.", remedy=PARTS_REMEDY)

    def bytes_of(self, *names: str) -> int:
        """What tensors take in the files; those that are not there take nothing."""
        return sum(self.stored[name].nbytes for name in names if name in self.stored)

    def words(self, name: str) -> Words:
        """A tensor of 32-bit integers, of its shape."""
        return np.frombuffer(self._view(name), "<u4").reshape(self.stored[name].shape)

    def octets(self, name: str) -> Bytes:
        """A tensor of bytes, of its shape."""
        return np.frombuffer(self._view(name), np.uint8).reshape(self.stored[name].shape)

    def whole(self, name: str) -> NDArray[np.int64]:
        """A tensor of I8, I32 or I64, of its shape."""
        found = self.stored[name]
        kind = {"I8": "<i1", "I32": "<i4", "I64": "<i8"}[found.dtype]
        return np.frombuffer(self._view(name), kind).reshape(found.shape).astype(np.int64)

    def scales(self, name: str) -> Floats:
        """A tensor of floats, of its shape, exactly. Raises CheckpointError unless all of them are finite."""
        found, raw = self.stored[name], self._view(name)
        if found.dtype == "F32":
            values = np.frombuffer(raw, "<f4").astype(np.float32)
        elif found.dtype == "F16":
            values = np.frombuffer(raw, "<f2").astype(np.float32)
        elif found.dtype == "BF16":
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
        else:  # F8_E8M0: powers of two, and one NaN
            exponents = np.frombuffer(raw, np.uint8)
            values = np.ldexp(np.float32(1), exponents.astype(np.int32) - 127).astype(np.float32)
            values[exponents == 255] = np.nan
        if not np.isfinite(values).all():
            raise self.odd(name, "has scales that are not finite numbers")
        return values.reshape(found.shape)
