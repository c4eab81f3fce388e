"""Block formats become numbers: against a committed golden from the `gguf` package, and taken apart losslessly."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from undiced.checkpoint.decode import fp8, planes, to_float
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.formats import FORMATS, GGUF_FORMATS

GOLDEN = json.loads((Path(__file__).parent / "golden_formats.json").read_text())
QUANTIZED = [name for name in GGUF_FORMATS if FORMATS[name].quantized]


def tensor(name: str) -> tuple[TensorInfo, memoryview]:
    """The golden's blocks as a matrix of one row per block."""
    stored = FORMATS[name]
    raw = bytes.fromhex(GOLDEN[name]["raw"])
    columns = stored.block if stored.quantized else 4
    rows = len(raw) // stored.file_bytes(columns)
    return TensorInfo("w", (rows, columns), name, 0, len(raw)), memoryview(raw)


def test_golden_covers_every_format_of_gguf() -> None:
    assert set(GOLDEN) == set(GGUF_FORMATS)


@pytest.mark.parametrize("name", GGUF_FORMATS)
def test_values_equal_the_golden_to_the_bit(name: str) -> None:
    values = to_float(*tensor(name))
    assert values.dtype == np.float32
    assert values.tobytes().hex() == GOLDEN[name]["float32"]


@pytest.mark.parametrize("name", QUANTIZED)
def test_planes_have_the_shapes_and_types_of_their_format(name: str) -> None:
    stored = FORMATS[name]
    info, raw = tensor(name)
    parts = planes(info, raw)
    scale_type = {2: np.float16, 4: np.float32}[stored.scale_bytes]
    assert parts.codes.shape == info.shape and parts.codes.dtype == np.uint8
    assert parts.codes.max() <= stored.code_max
    assert parts.scales.shape == (info.shape[0], info.shape[1] // stored.group) and parts.scales.dtype == scale_type
    assert (parts.minimums is not None) == stored.has_min
    if parts.minimums is not None:
        assert parts.minimums.shape == parts.scales.shape and parts.minimums.dtype == scale_type


@pytest.mark.parametrize("name", QUANTIZED)
def test_values_are_scale_times_code_plus_minimum(name: str) -> None:
    stored = FORMATS[name]
    info, raw = tensor(name)
    parts = planes(info, raw)
    values = to_float(info, raw)
    for row, column in np.ndindex(info.shape):
        group = column // stored.group
        value = np.float32(parts.scales[row, group]) * np.float32(int(parts.codes[row, column]) - stored.zero)
        if parts.minimums is not None:
            value = value + np.float32(parts.minimums[row, group])
        assert value == values[row, column]


def test_a_hand_made_block() -> None:
    raw = struct.pack("<ee", 0.5, -1.0) + bytes([0x21] + [0] * 15)
    info = TensorInfo("w", (32,), "Q4_1", 0, 20)
    values = to_float(info, memoryview(raw))
    assert values.shape == (32,)
    assert values[0] == 0.5 * 1 - 1 and values[16] == 0.5 * 2 - 1 and values[1] == -1


@pytest.mark.parametrize("name", ["INT4_32", "INT4_128", "INT8_32", "INT8_128"])
def test_a_zero_of_each_group_takes_the_place_of_the_formats(name: str) -> None:
    stored = FORMATS[name]
    bits = 4 if "INT4" in name else 8
    codes = np.arange(stored.block, dtype=np.uint8) & np.uint8(stored.code_max)
    packed = codes if bits == 8 else codes[0::2] | codes[1::2] << np.uint8(4)
    raw = struct.pack("<ff", 0.3, stored.code_max + 1) + packed.tobytes()
    info = TensorInfo("w", (1, stored.block), name, 0, stored.block_bytes)
    parts = planes(info, memoryview(raw))
    assert parts.zeros is not None and parts.zeros.shape == parts.scales.shape == (1, 1) and parts.minimums is None
    expected = np.float32(0.3) * (codes.astype(np.float32) - np.float32(stored.code_max + 1))
    assert to_float(info, memoryview(raw)).tobytes() == expected.tobytes()


def test_numbers_of_eight_bits() -> None:
    known = {0x00: 0.0, 0x01: 2**-9, 0x07: 7 * 2**-9, 0x08: 2**-6, 0x38: 1.0, 0x3C: 1.5, 0x7E: 448.0, 0xB8: -1.0}
    assert {code: float(fp8(np.array([code], np.uint8))[0]) for code in known} == known
    assert np.signbit(fp8(np.array([0x80], np.uint8)))[0]
    assert (
        np.isnan(fp8(np.array([0x7F, 0xFF], np.uint8))).all()
        and np.isfinite(fp8(np.arange(0x7F, dtype=np.uint8))).all()
    )


def test_outer_dimensions_fold_into_rows() -> None:
    info = TensorInfo("w", (2, 3, 32), "Q8_0", 0, 2 * 3 * 34)
    raw = memoryview(bytes(range(204)))
    assert planes(info, raw).codes.shape == (6, 32)
    assert to_float(info, raw).shape == (2, 3, 32)


def test_infinite_scales_pass_through_silently() -> None:
    raw = struct.pack("<e", float("inf")) + bytes([1] * 16 + [0] * 16)
    values = to_float(TensorInfo("w", (32,), "Q8_0", 0, 34), memoryview(raw))
    assert np.isposinf(values[0]) and np.isnan(values[31])


def test_misuse_is_refused() -> None:
    info = TensorInfo("w", (4,), "F32", 0, 16)
    with pytest.raises(ValueError, match="only quantized"):
        planes(info, memoryview(bytes(16)))
    with pytest.raises(ValueError, match="takes 16 bytes, but 12"):
        to_float(info, memoryview(bytes(12)))


def test_dense_values_are_copies() -> None:
    raw = bytearray(struct.pack("<2f", 1, 2))
    values = to_float(TensorInfo("w", (2,), "F32", 0, 8), memoryview(raw))
    raw[:] = bytes(8)
    assert values.tolist() == [1, 2]
