"""Writes tiny GGUF files for tests, well-formed or deliberately not. Independent of the reader's code."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

LETTERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
U8, I32, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 5, 4, 6, 7, 8, 9, 10


def text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, item: object) -> bytes:
    """A typed value; arrays are given as (element kind, items)."""
    if kind == STRING:
        return text(item)  # type: ignore[arg-type]
    if kind == ARRAY:
        element, items = item  # type: ignore[misc]
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, one) for one in items)
    return struct.pack("<" + LETTERS[kind], item)


@dataclass
class Tensor:
    name: str
    dims: tuple[int, ...]  # innermost first, as in the file
    kind: int
    data: bytes
    offset: int | None = None  # placed after the one before unless given


@dataclass
class Gguf:
    fields: list[tuple[str, int, object]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    version: int = 3
    alignment: int = 32
    magic: bytes = b"GGUF"
    key_count: int | None = None
    tensor_count: int | None = None

    def header(self) -> bytes:
        keys = len(self.fields) if self.key_count is None else self.key_count
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        out = self.magic + struct.pack("<IQQ", self.version, tensors, keys)
        for key, kind, item in self.fields:
            out += text(key) + struct.pack("<I", kind) + value(kind, item)
        position = 0
        for tensor in self.tensors:
            offset = position if tensor.offset is None else tensor.offset
            dims = struct.pack(f"<I{len(tensor.dims)}Q", len(tensor.dims), *tensor.dims)
            out += text(tensor.name) + dims + struct.pack("<IQ", tensor.kind, offset)
            position += self._padded(len(tensor.data))
        return out

    def bytes(self) -> bytes:
        out = self.header()
        out += b"\0" * (self._padded(len(out)) - len(out))
        for tensor in self.tensors:
            out += tensor.data + b"\0" * (self._padded(len(tensor.data)) - len(tensor.data))
        return out

    def _padded(self, nbytes: int) -> int:
        return -(-nbytes // self.alignment) * self.alignment


def small() -> Gguf:
    """A file shaped like a real one: scalars, vocabulary arrays, dense and quantized tensors."""
    return Gguf(
        fields=[
            ("general.architecture", STRING, "llama"),
            ("general.name", STRING, "Tiny é"),
            ("llama.block_count", U32, 1),
            ("llama.rope.freq_base", F32, 10000.0),
            ("tokenizer.ggml.add_bos_token", BOOL, True),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, ["<s>", "a", "", "Ġthe", "日本"])),
            ("tokenizer.ggml.token_type", ARRAY, (I32, [3, 1, 1, 1, -1])),
            ("tokenizer.ggml.flags", ARRAY, (BOOL, [True, False])),
            ("big", U64, 1 << 63),
        ],
        tensors=[
            Tensor("token_embd.weight", (64, 5), 8, bytes(range(250)) * 1 + bytes(90)),
            Tensor("blk.0.attn_norm.weight", (64,), 0, struct.pack("<64f", *range(64))),
            Tensor("blk.0.ffn_up.weight", (32, 3, 2), 3, bytes(range(120))),
        ],
    )


def parts(count: int) -> list[Gguf]:
    """The same as gguf-split cuts it into at most three files: tensors one after the other, the keys in the first."""
    whole = small()
    files = [Gguf() for _ in range(count)]
    files[0].fields = whole.fields
    for index, tensor in enumerate(whole.tensors):
        files[min(index, count - 1)].tensors.append(tensor)
    for index, file in enumerate(files):
        file.fields += [("split.no", U32, index), ("split.count", U32, count), ("split.tensors.count", I32, 3)]
    return files
