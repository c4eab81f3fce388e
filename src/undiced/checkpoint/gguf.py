"""Opens GGUF files (versions 2 and 3): header, metadata and tensor table, all checked before use.

Knows the file layout and its bounds; knows no model family and decodes no weights.
Source: the GGUF specification; type numbers as in `core.formats`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from undiced.checkpoint.gguf_fields import MAX_KEY_BYTES, Cursor, Fields
from undiced.checkpoint.gguf_parts import part_names
from undiced.checkpoint.mapping import MappedFile
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.formats import BY_GGML_TYPE, GGUF_FORMATS
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
    4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S",
    22: "IQ2_S", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 31: "Q4_0_4_4",
    32: "Q4_0_4_8", 33: "Q4_0_8_8", 34: "TQ1_0", 35: "TQ2_0", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0",
}  # fmt: skip


class _Part(Struct, frozen=True):
    """One file of a model, open and checked; most models are one file."""

    file: MappedFile
    fields: Fields
    tensors: dict[str, TensorInfo]
    header_bytes: int


class GgufCheckpoint:
    """An open GGUF file, or all files of a model that was split; see `contract.Checkpoint` for the members."""

    kind: Literal["gguf"] = "gguf"
    notes: tuple[str, ...] = ()
    unread: Mapping[str, str] = MappingProxyType({})

    def __init__(self, path: str | Path, *, name: str | None = None) -> None:
        """Open and check a file, and the other parts of its model if it is one; milliseconds, whatever its size.

        Raises:
            CheckpointError: damaged, truncated or hostile; a part is missing or of another model.
            UnsupportedError: a version, byte order or number format that we do not read.
        """
        self._parts: list[_Part] = []
        self._home: dict[str, _Part] = {}
        try:
            self._open(Path(path))
        except BaseException:
            self.close()
            raise
        self.path = self._parts[0].file.path
        fields = self._parts[0].fields
        self.metadata: Mapping[str, object] = fields
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(
            {name: part.tensors[name] for name, part in self._home.items()}
        )
        self.name = name or _own_name(fields) or stem(self.path)

    def _open(self, path: Path) -> None:
        names = part_names(path.name)
        for index, file in enumerate(names):
            part = _open_part(_there(path.with_name(file), path))
            self._parts.append(part)
            _see_place(part, index, len(names))
            for tensor in part.tensors:
                if tensor in self._home:
                    raise _strange(part, f"has the tensor {quoted(tensor)}, which another part has, too")
                self._home[tensor] = part
        wanted = self._parts[0].fields.get("split.tensors.count", len(self._home))
        if len(names) > 1 and wanted != len(self._home):
            raise _strange(self._parts[0], f"tells of {_shown(wanted)} tensors; all parts have {len(self._home)}")

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 over the headers, the sizes and samples of the data."""
        from hashlib import sha256  # of OpenSSL, which few need and a header of megabytes does

        parts = (part.file.fingerprint(part.header_bytes) for part in self._parts)
        return sha256(b"gguf" + b"".join(parts)).hexdigest()

    def raw(self, name: str) -> memoryview:
        """Read-only bytes of a tensor as stored."""
        part = self._home.get(name)
        if part is None:
            raise CheckpointError(
                f"{file_name(self.path)} has no tensor {quoted(name)}.",
                remedy="The file is incomplete; fetch or convert it again.",
            )
        info = part.tensors[name]
        return part.file.view(info.offset, info.nbytes)

    def forget(self) -> None:
        """Give back the memory that reading tensors took."""
        for part in self._parts:
            part.file.forget()

    def close(self) -> None:
        """Let go of the files; views handed out stay valid until dropped."""
        for part in self._parts:
            part.file.close()


def _open_part(path: Path) -> _Part:
    file = MappedFile(path)
    try:
        cursor = Cursor(file)
        tensor_count, key_count = _read_head(cursor)
        fields = _read_fields(cursor, file, key_count)
        infos = _read_table(cursor, tensor_count, fields, file.size)
        return _Part(file, fields, infos, cursor.pos)
    except BaseException:
        file.close()
        raise


def _there(part: Path, asked: Path) -> Path:
    if part != asked and not part.exists():
        raise CheckpointError(
            f"{file_name(asked)} is one part of a model, and {file_name(part)} is not beside it.",
            remedy="Put all parts into one folder, under the names that they were published by.",
        )
    return part


def _see_place(part: _Part, index: int, count: int) -> None:
    """See that a file is the part of a model that its name says."""
    found = (part.fields.get("split.no", 0), part.fields.get("split.count", 1))
    if found == (index, count) or (count == 1 and found[1] in (0, 1)):
        return
    if count == 1:
        raise CheckpointError(
            f"{file_name(part.file.path)} is one of {_shown(found[1])} parts of a model, and not named like one.",
            remedy="Name the parts as they were published: NAME-00001-of-00003.gguf and so on.",
        )
    raise _strange(part, f"says that it is number {_shown(found[0])}, from 0, of {_shown(found[1])}")


def _shown(value: object) -> str:
    return str(value) if isinstance(value, int) else quoted(value)


def _strange(part: _Part, what: str) -> CheckpointError:
    return CheckpointError(
        f"{file_name(part.file.path)}, a part of a model, {what}.",
        remedy="The parts do not belong together; fetch them again.",
    )


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
            remedy=f"Formats that are read: {', '.join(GGUF_FORMATS)}.",
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
