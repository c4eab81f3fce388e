"""The safetensors reader: what a good file holds, and a named refusal for each bad one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors_writer import file_bytes, safetensors, small

from undiced.checkpoint.decode import to_float
from undiced.checkpoint.safetensors import SafetensorsFile
from undiced.core.errors import CheckpointError, UnsupportedError


def opened(tmp_path: Path, content: bytes) -> SafetensorsFile:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    return SafetensorsFile(path)


def test_weights_and_buffers_are_told_apart(tmp_path: Path) -> None:
    file = opened(tmp_path, safetensors(small()))
    assert {name: info.format for name, info in file.tensors.items()} == {
        "model.embed.weight": "BF16",
        "model.norm.weight": "F32",
        "model.up.weight": "F16",
    }
    assert {name: (part.dtype, part.shape) for name, part in file.buffers.items()} == {
        "model.attn.bias": ("BOOL", (3,))
    }
    info = file.tensors["model.embed.weight"]
    values = to_float(info, file.file.view(info.offset, info.nbytes))
    assert values[0, 0] == np.uint32(0x0100 << 16).view(np.float32)


def entry(**changes: object) -> bytes:
    """A file with the one tensor `w`: F32, two numbers, unless changed."""
    base: dict[str, object] = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return file_bytes({"w": base | changes}, bytes(8))


def two(first: list[int], second: list[int], data: int) -> bytes:
    spans = {"u": first, "v": second}
    header = {
        name: {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}
        for name, (begin, end) in spans.items()
    }
    return file_bytes(header, bytes(data))


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "too short": (lambda: b"123", "too few"),
    "header length": (lambda: struct.pack("<Q", 1 << 62) + b"{}" + bytes(100), f"claims {1 << 62} bytes"),
    "header cut": (lambda: struct.pack("<Q", 50) + b"{}", "claims 50 bytes in a file of 10"),
    "not JSON": (lambda: file_bytes(b'{"w": ', b""), "not valid JSON"),
    "not UTF-8": (lambda: file_bytes(b'{"\xff": 1}', b""), "not valid JSON"),
    "not an object": (lambda: file_bytes([1], b""), "no JSON object"),
    "deep": (lambda: file_bytes(b"[" * 100_000, b""), "nested too deeply"),
    "long number": (lambda: file_bytes(b'{"w":' + b"9" * 10_000 + b"}", b""), "not valid JSON"),
    "twice": (lambda: file_bytes(b'{"w": {}, "w": {}}', b""), "occurs twice"),
    "entry": (lambda: file_bytes({"w": 3}, b""), "'w' is not an object"),
    "no dtype": (lambda: entry(dtype=None), "'w' lacks a proper dtype"),
    "no shape": (lambda: entry(shape="2"), "'w' lacks a proper"),
    "negative": (lambda: entry(shape=[-2]), "'w' lacks a proper"),
    "fraction": (lambda: entry(shape=[2.0]), "'w' lacks a proper"),
    "boolean": (lambda: entry(shape=[2, True]), "'w' lacks a proper"),
    "many dimensions": (lambda: entry(shape=[1] * 9), "'w' lacks a proper"),
    "one offset": (lambda: entry(data_offsets=[8]), "'w' lacks a proper"),
    "reversed": (lambda: entry(data_offsets=[8, 0]), "'w' of shape .* cannot take -8 bytes"),
    "giant shape": (lambda: entry(shape=[1 << 62] * 8), "cannot take 8 bytes"),
    "size": (lambda: entry(shape=[3]), "cannot take 8 bytes"),
    "beyond": (lambda: entry(shape=[4], data_offsets=[0, 16]), "cover bytes 0 to 16 of 8"),
    "overlap": (lambda: two([0, 8], [4, 12], 12), "'u' and 'v' overlap"),
    "hole": (lambda: two([0, 4], [8, 12], 12), "'u' and 'v' overlap or leave a hole"),
    "hole before": (lambda: two([4, 8], [8, 12], 12), "cover bytes 4 to 12"),
    "trailing": (lambda: two([0, 4], [4, 8], 12), "cover bytes 0 to 8 of 12"),
    "truncated": (lambda: safetensors(small())[:-1], "."),
}


@pytest.mark.parametrize("case", BAD)
def test_damage_is_refused_by_name(tmp_path: Path, case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(CheckpointError, match=message) as caught:
        opened(tmp_path, make())
    assert "model.safetensors" in caught.value.message and caught.value.remedy


@pytest.mark.parametrize("dtype", ["F64", "F4", "made up"])
def test_other_dtypes_are_named(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(UnsupportedError, match=f"'w' has the dtype '{dtype}'"):
        opened(tmp_path, entry(dtype=dtype))


def test_header_limit_holds_whatever_the_file_size(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as out:
        out.write(struct.pack("<Q", 200 << 20))
        out.truncate(300 << 20)
    with pytest.raises(CheckpointError, match="claims 209715200 bytes"):
        SafetensorsFile(path)


def test_scalars_and_empty_tensors_have_their_shapes(tmp_path: Path) -> None:
    file = opened(tmp_path, safetensors({"one": ("F32", [], struct.pack("<f", 2.5)), "none": ("F16", [0, 4], b"")}))
    one, none = file.tensors["one"], file.tensors["none"]
    assert to_float(one, file.file.view(one.offset, one.nbytes)).item() == 2.5
    assert to_float(none, file.file.view(none.offset, none.nbytes)).shape == (0, 4)
