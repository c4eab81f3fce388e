"""Opens GGUF files (versions 2 and 3): header, metadata and tensor table, all checked before use.

Knows the file layout and its bounds; knows no model family and decodes no weights.
Source: the GGUF specification; type numbers as in `core.formats`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from undiced.checkpoint.gguf_fields import MAX_KEY_BYTES, Cursor, Fields
from undiced.checkpoint.mapping import MappedFile
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.formats import BY_GGML_TYPE, FORMATS
from undiced.core.quote import file_name, quoted, stem

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_KEYS = 65_536  # ours: about 60 are usual
MAX_TENSORS = 1 << 20  # ours: the largest models have a few thousand
MAX_DIMS = 4  # GGUF specification
MAX_NAME_BYTES = 256  # the specification says 64; some writers exceed it
DEFAULT_ALIGNMENT = 32  # GGUF specification
MAX_ALIGNMENT = 1 << 16  # ours
KNOWN_TYPES = {  # numbers of formats that are not read, those that ggml has given up included
    4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS",
    18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16",
    26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 34: "TQ1_0",
    35: "TQ2_0", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
    42: "Q2_0",
}  # fmt: skip


class GgufCheckpoint:
    """An open GGUF file; see `contract.Checkpoint` for the members."""

    kind: Literal["gguf"] = "gguf"

    def __init__(self, path: str | Path, *, name: str | None = None) -> None:
        """Open and check a file; milliseconds, whatever its size.

        Raises:
            CheckpointError: damaged, truncated or hostile.
            UnsupportedError: a version, byte order or number format that we do not read.
        """
        self.path = Path(path)
        self._file = MappedFile(self.path)
        try:
            cursor = Cursor(self._file)
            tensor_count, key_count = _read_head(cursor)
            self._fields = _read_fields(cursor, self._file, key_count)
            _refuse_parts(self._fields, self.path)
            infos = _read_table(cursor, tensor_count, self._fields, self._file.size)
            self._header_bytes = cursor.pos
        except BaseException:
            self._file.close()
            raise
        self.metadata: Mapping[str, object] = self._fields
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(infos)
        self.name = name or _own_name(self._fields) or stem(self.path)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 over the header, the size and samples of the data."""
        return hashlib.sha256(b"gguf" + self._file.fingerprint(self._header_bytes)).hexdigest()

    def raw(self, name: str) -> memoryview:
        """Read-only bytes of a tensor as stored."""
        info = self.tensors.get(name)
        if info is None:
            raise CheckpointError(
                f"{file_name(self.path)} has no tensor {quoted(name)}.",
                remedy="The file is incomplete; fetch or convert it again.",
            )
        return self._file.view(info.offset, info.nbytes)

    def close(self) -> None:
        """Let go of the file; views handed out stay valid until dropped."""
        self._file.close()


def _read_head(cursor: Cursor) -> tuple[int, int]:
    """Magic, version, counts -> (tensors, keys)."""
    cursor.need(24, "the GGUF header")
    magic = cursor.u32("the magic").to_bytes(4, "little")
    if magic != MAGIC:
        raise CheckpointError(f"{cursor.name} is not a GGUF file.", remedy="Name a .gguf file or a model folder.")
    version = cursor.u32("the version")
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        what = "is a big-endian GGUF file" if swapped else f"has the GGUF version {version}"
        raise UnsupportedError(
            f"{cursor.name} {what}; versions 2 and 3, little-endian, are read.", remedy="Convert the model again."
        )
    tensors, keys = cursor.u64("the tensor count"), cursor.u64("the key count")
    if tensors > MAX_TENSORS or keys > MAX_KEYS:
        raise cursor.damaged(f"claims {tensors} tensors and {keys} metadata keys")
    return tensors, keys


def _read_fields(cursor: Cursor, file: MappedFile, count: int) -> Fields:
    values: dict[str, object] = {}
    for index in range(count):
        key = cursor.text(f"metadata key {index}", MAX_KEY_BYTES)
        if key in values:
            raise cursor.damaged(f"the metadata key {quoted(key)} occurs twice")
        what = f"metadata key {quoted(key)}"
        values[key] = cursor.value(cursor.u32(what), what)
    return Fields(file, values)


def _refuse_parts(fields: Fields, path: Path) -> None:
    parts = fields.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise UnsupportedError(
            f"{file_name(path)} is one of {parts} parts of a model.",
            remedy="Merge the parts into one file with gguf-split.",
        )


def _read_table(cursor: Cursor, count: int, fields: Fields, size: int) -> dict[str, TensorInfo]:
    """The tensor table with absolute offsets; leaves the cursor at the end of the header."""
    alignment = _alignment(cursor, fields)
    rows = [_read_row(cursor, index, alignment) for index in range(count)]
    start = -(-cursor.pos // alignment) * alignment
    infos: dict[str, TensorInfo] = {}
    for row in rows:
        if row.name in infos:
            raise cursor.damaged(f"the tensor {quoted(row.name)} occurs twice")
        info = TensorInfo(row.name, row.shape, row.format, start + row.offset, row.nbytes)
        if info.offset + info.nbytes > size:
            raise cursor.damaged(
                f"the tensor {quoted(info.name)} of {info.nbytes} bytes at {info.offset} exceeds the file of {size}"
            )
        infos[info.name] = info
    _refuse_overlaps(cursor, infos)
    return infos


def _alignment(cursor: Cursor, fields: Fields) -> int:
    value = fields.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or not 8 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.damaged(f"general.alignment is {quoted(value)}, not a power of two from 8 to {MAX_ALIGNMENT}")
    return value


def _read_row(cursor: Cursor, index: int, alignment: int) -> TensorInfo:
    """One entry of the tensor table; its offset still counts from the start of the data."""
    name = cursor.text(f"the name of tensor {index}", MAX_NAME_BYTES)
    what = f"the tensor {quoted(name)}"
    dims = cursor.u32(what)
    if not 1 <= dims <= MAX_DIMS:
        raise cursor.damaged(f"{what} has {dims} dimensions, not 1 to {MAX_DIMS}")
    shape = tuple(cursor.u64(what) for _ in range(dims))[::-1]
    if 0 in shape:
        raise cursor.damaged(f"{what} has the empty shape {shape}")
    kind = cursor.u32(what)
    stored = BY_GGML_TYPE.get(kind)
    if stored is None:
        raise UnsupportedError(
            f"{cursor.name}: {what} has the number format {KNOWN_TYPES.get(kind) or f'{kind}, which is none of ggml'}.",
            remedy=f"Formats that are read: {', '.join(FORMATS)}.",
        )
    if shape[-1] % stored.block:
        raise cursor.damaged(f"{what} has rows of {shape[-1]}, no multiple of the {stored.name} block, {stored.block}")
    offset = cursor.u64(what)
    if offset % alignment:
        raise cursor.damaged(f"{what} starts at {offset}, which is not aligned to {alignment}")
    return TensorInfo(name, shape, stored.name, offset, stored.file_bytes(prod(shape)))


def _refuse_overlaps(cursor: Cursor, infos: dict[str, TensorInfo]) -> None:
    for left, right in pairwise(sorted(infos.values(), key=lambda info: info.offset)):
        if left.offset + left.nbytes > right.offset:
            raise cursor.damaged(f"the tensors {quoted(left.name)} and {quoted(right.name)} overlap")


def _own_name(fields: Fields) -> str:
    """The name that the file gives itself, if it can be shown."""
    try:
        name = fields.get("general.name")
    except CheckpointError:
        return ""
    return name if isinstance(name, str) and name.isprintable() and len(name) <= 100 else ""
