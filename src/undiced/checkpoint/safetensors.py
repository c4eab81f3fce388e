"""Reads one safetensors file: a bounded JSON header, then raw tensors, mapped and never copied.

Knows the file layout; knows no folder, no index and no model family.
Source: the safetensors format description (8-byte little-endian header length, JSON, data without holes).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path

from undiced.checkpoint.mapping import DAMAGED, MappedFile
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.documents import MAX_JSON_BYTES, parse_object
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.formats import FORMATS
from undiced.core.quote import quoted

DTYPES = {"F32": "F32", "F16": "F16", "BF16": "BF16"}
BUFFER_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
MAX_DIMS = 8  # ours


@dataclass(frozen=True, slots=True)
class Buffer:
    """A tensor that is no weight by itself: integers, truths, or numbers of 8 bits that need a scale."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


class SafetensorsFile:
    """One open file.

    Attributes:
        tensors: the weights, in file order.
        buffers: what no model family reads by itself (masks, position ids, parts of quantized weights).
    """

    __slots__ = ("_header_bytes", "buffers", "file", "tensors")

    def __init__(self, path: Path) -> None:
        self.file = MappedFile(path)
        try:
            header = _read_header(self.file)
            self._header_bytes = 8 + header[1]
            self.tensors, self.buffers = _read_entries(header[0], path.name, self._header_bytes, self.file.size)
        except BaseException:
            self.file.close()
            raise

    def fingerprint(self) -> bytes:
        return self.file.fingerprint(self._header_bytes)


def _damaged(name: str, what: str) -> CheckpointError:
    return CheckpointError(f"{name}: {what}.", remedy=DAMAGED)


def _read_header(file: MappedFile) -> tuple[dict[str, object], int]:
    """-> (the parsed header, its length in bytes without the leading 8)."""
    name = file.path.name
    if file.size < 10:
        raise _damaged(name, f"{file.size} bytes are too few for a safetensors file")
    length = int.from_bytes(file.view(0, 8), "little")
    if length > min(file.size - 8, MAX_JSON_BYTES):
        raise _damaged(name, f"the header claims {length} bytes in a file of {file.size} (limit {MAX_JSON_BYTES})")
    return parse_object(bytes(file.view(8, length)), f"The header of {name}"), length


def _read_entries(
    header: dict[str, object], file: str, start: int, size: int
) -> tuple[dict[str, TensorInfo], dict[str, Buffer]]:
    infos, buffers = [], {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        info, dtype = _entry(name, entry, file)
        if dtype not in DTYPES:
            buffers[name] = Buffer(dtype, info.shape, start + info.offset, info.nbytes)
        infos.append(info)
    _check_cover(infos, file, size - start)
    infos.sort(key=lambda info: info.offset)
    placed = (TensorInfo(i.name, i.shape, i.format, start + i.offset, i.nbytes) for i in infos if i.name not in buffers)
    return {info.name: info for info in placed}, buffers


def _entry(name: str, entry: object, file: str) -> tuple[TensorInfo, str]:
    """Check one header entry -> (info with an offset from the start of the data, dtype)."""
    if not isinstance(entry, dict):
        raise _damaged(file, f"the entry of {quoted(name)} is not an object")
    dtype, shape, span = entry.get("dtype"), _naturals(entry.get("shape")), _naturals(entry.get("data_offsets"))
    if not isinstance(dtype, str) or shape is None or span is None or len(span) != 2:
        raise _damaged(file, f"the entry of {quoted(name)} lacks a proper dtype, shape or data_offsets")
    width = FORMATS[DTYPES[dtype]].block_bytes if dtype in DTYPES else BUFFER_BYTES.get(dtype)
    if width is None:
        raise UnsupportedError(
            f"{file}: the tensor {quoted(name)} has the dtype {quoted(dtype)}.",
            remedy=f"Weights that are read: {', '.join(DTYPES)}.",
        )
    begin, end = span
    if end - begin != prod(shape) * width:
        raise _damaged(
            file, f"the tensor {quoted(name)} of shape {shape} and dtype {dtype} cannot take {end - begin} bytes"
        )
    return TensorInfo(name, shape, DTYPES.get(dtype, ""), begin, end - begin), dtype


def _naturals(value: object) -> tuple[int, ...] | None:
    """A short JSON array of natural numbers below 2**63; None for anything else."""
    if not isinstance(value, list) or len(value) > MAX_DIMS:
        return None
    return tuple(value) if all(type(item) is int and 0 <= item < 1 << 63 for item in value) else None


def _check_cover(infos: list[TensorInfo], file: str, data_bytes: int) -> None:
    """The format wants the data covered exactly: no overlap, no hole, nothing beyond the end."""
    ordered = sorted(infos, key=lambda info: (info.offset, info.nbytes))
    for left, right in pairwise(ordered):
        if left.offset + left.nbytes != right.offset:
            raise _damaged(file, f"the tensors {quoted(left.name)} and {quoted(right.name)} overlap or leave a hole")
    first = ordered[0].offset if ordered else 0
    end = ordered[-1].offset + ordered[-1].nbytes if ordered else 0
    if first != 0 or end != data_bytes:
        raise _damaged(file, f"its tensors cover bytes {first} to {end} of {data_bytes} bytes of data")
