"""Quantized folders: the values that the methods' own libraries compute, to the bit; a named refusal of each fault.

The cases of tests/golden/schemes were written by tests/oracle/golden_schemes.py.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors_writer import Entry, safetensors

from undiced.checkpoint import HfCheckpoint, bytes_by_format, kept_by_format
from undiced.checkpoint.decode import fp8, to_float
from undiced.checkpoint.schemes.awq import ORDER, turned
from undiced.checkpoint.schemes.blocks import unpacked
from undiced.core.errors import CheckpointError, UndicedError, UnsupportedError

GOLDEN = Path(__file__).parents[2] / "golden" / "schemes"
FORMATS = {
    "awq-g128": "INT4_128",
    "awq-g32": "INT4_32",
    "compressed-fp8": "FP8_128",
    "compressed-int4": "INT4_32",
    "compressed-int4-zeros": "INT4_32",
    "compressed-int8": "INT8_128",
    "compressed-int8-zeros": "INT8_128",
    "compressed-plain-int8": "INT8_128",
    "fp8-blocks": "FP8_32",
    "gptq-int4-g128": "INT4_128",
    "gptq-int4-g32": "INT4_32",
    "gptq-int8-g64": "INT8_32",
    "mxfp4": "MXFP4",
}


def parts_of(case: str) -> tuple[dict[str, object], dict[str, Entry]]:
    """config.json and the tensors of a golden file."""
    data = (GOLDEN / f"{case}.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    config = json.loads(header.pop("__metadata__")["config"])
    body = data[8 + length :]
    return config, {
        name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])]) for name, entry in header.items()
    }


def folder_of(tmp_path: Path, config: object, parts: dict[str, Entry]) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(safetensors(parts))
    return tmp_path


def opened(tmp_path: Path, case: str) -> HfCheckpoint:
    return HfCheckpoint(folder_of(tmp_path, *parts_of(case)))


def values_of(checkpoint: HfCheckpoint, name: str = "m.weight") -> np.ndarray:
    return to_float(checkpoint.tensors[name], checkpoint.raw(name))


def test_every_golden_case_is_known() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(FORMATS)


@pytest.mark.parametrize("case", FORMATS)
def test_values_equal_the_librarys_to_the_bit(tmp_path: Path, case: str) -> None:
    checkpoint = opened(tmp_path, case)
    name = "m_blocks" if case == "mxfp4" else "m.weight"
    assert set(checkpoint.tensors) == {name, "expected"}
    info = checkpoint.tensors[name]
    assert info.format == FORMATS[case] and len(checkpoint.raw(name)) == info.nbytes
    np.testing.assert_array_equal(values_of(checkpoint, name), values_of(checkpoint, "expected"))


def test_what_the_file_holds_and_what_is_kept_are_both_counted(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, "gptq-int4-g128")
    weights = 32 * 128
    parts = weights // 2 + 2 * 32 + 4 * 32 // 8 + 4 * 128  # codes, scales, zeros, the groups of columns
    assert bytes_by_format(checkpoint) == {"F32": 4 * weights, "GPTQ int4": parts}
    assert kept_by_format(checkpoint) == {"F32": 4 * weights, "INT4_128": weights * 9 // 16}


def test_activations_are_said_to_stay_as_they_are(tmp_path: Path) -> None:
    assert "not rounded" in opened(tmp_path, "fp8-blocks").notes[0]
    (tmp_path / "b").mkdir()
    assert opened(tmp_path / "b", "awq-g128").notes == ()


def test_scales_of_activations_are_left_out(tmp_path: Path) -> None:
    config, parts = parts_of("compressed-fp8")
    parts |= {"m.input_scale": ("BF16", [1], b"\0\1"), "m.k_scale": ("F32", [], bytes(4))}
    assert set(HfCheckpoint(folder_of(tmp_path, config, parts)).tensors) == {"m.weight", "expected"}


def test_a_module_that_is_not_quantized_stays_as_it_is(tmp_path: Path) -> None:
    config, parts = parts_of("awq-g128")
    parts["lm_head.weight"] = ("BF16", [1, 2], bytes(4))
    checkpoint = HfCheckpoint(folder_of(tmp_path, config, parts))
    assert checkpoint.tensors["lm_head.weight"].format == "BF16" and len(checkpoint.raw("lm_head.weight")) == 4


def test_columns_in_any_order_become_f32_and_that_is_said(tmp_path: Path) -> None:
    """desc_act: the group of each column stands in g_idx."""
    config, parts = parts_of("gptq-int4-g32")
    choice = np.random.default_rng(3).permutation(np.arange(128) // 32).astype("<i4")
    ordered = values_of(HfCheckpoint(folder_of(tmp_path, config, parts)))
    scales = np.frombuffer(parts["m.scales"][2], "<f2").reshape(4, 32).astype(np.float32)
    parts["m.g_idx"] = ("I32", [128], choice.tobytes())
    checkpoint = HfCheckpoint(folder_of(tmp_path, config, parts))
    assert checkpoint.tensors["m.weight"].format == "F32" and "desc_act" in checkpoint.notes[0]
    values = values_of(checkpoint)
    words = np.frombuffer(parts["m.qzeros"][2], "<u4").reshape(4, 4, 1)
    zeros = ((words >> np.arange(0, 32, 4, dtype=np.uint32) & 15) + 1).reshape(4, 32).astype(int)
    codes = np.rint(ordered / scales.repeat(32, 0).T).astype(int) + zeros.repeat(32, 0).T
    for row, column in ((0, 0), (31, 127), (7, 64), (12, 3)):
        group = choice[column]
        assert values[row, column] == scales[group, row] * np.float32(codes[row, column] - zeros[group, row])


def test_experts_of_a_layer_have_one_format(tmp_path: Path) -> None:
    config, parts = parts_of("gptq-int4-g32")
    unordered = ("I32", [128], (np.arange(128) % 4).astype("<i4").tobytes())
    renamed = {f"x.experts.{e}.up.{n[2:]}": part for e in (0, 1) for n, part in parts.items() if n != "expected"}
    other = {f"other.{n[2:]}": part for n, part in parts.items() if n != "expected"}
    renamed["x.experts.1.up.g_idx"] = unordered
    checkpoint = HfCheckpoint(folder_of(tmp_path, config, renamed | other))
    formats = {name: info.format for name, info in checkpoint.tensors.items()}
    assert formats == {"x.experts.0.up.weight": "F32", "x.experts.1.up.weight": "F32", "other.weight": "INT4_32"}
    first = "x.experts.0.up.weight"
    assert np.array_equal(values_of(checkpoint, first), values_of(checkpoint, "other.weight"))


def test_version_two_of_gptq_stores_zeros_as_they_are(tmp_path: Path) -> None:
    config, parts = parts_of("gptq-int4-g128")
    words = np.frombuffer(parts["m.qzeros"][2], "<u4") + np.uint32(0x11111111)
    parts["m.qzeros"] = (*parts["m.qzeros"][:2], words.tobytes())
    config["quantization_config"]["checkpoint_format"] = "gptq_v2"  # type: ignore[index]
    checkpoint = HfCheckpoint(folder_of(tmp_path, config, parts))
    assert np.array_equal(values_of(checkpoint), values_of(checkpoint, "expected"))


def test_a_zero_of_nought_is_carried_over_as_its_writer_does(tmp_path: Path) -> None:
    """0 - 1 borrows from the next zero in GPTQModel's words, and 0 + 1 gives it back."""
    config, parts = parts_of("gptq-int4-g128")
    zeros = np.zeros(4, "<u4") + np.uint32(0x54321050)
    parts["m.qzeros"] = (*parts["m.qzeros"][:2], (zeros - np.uint32(0x11111111)).tobytes())
    checkpoint = HfCheckpoint(folder_of(tmp_path, config, parts))
    codes = np.frombuffer(parts["m.qweight"][2], "<u4").reshape(16, 32)[0] & 15
    scales = np.frombuffer(parts["m.scales"][2], "<f2").astype(np.float32)
    expected = scales * (codes.astype(np.float32) - np.tile(np.array([0, 5, 0, 1, 2, 3, 4, 5], np.float32), 4))
    assert np.array_equal(values_of(checkpoint)[:, 0], expected)


def test_a_square_of_nibbles_is_turned() -> None:
    codes = np.random.default_rng(1).integers(0, 16, (24, 16), np.uint32)  # inputs x outputs
    words = (codes.reshape(24, 2, 8)[..., ORDER] << np.arange(0, 32, 4, dtype=np.uint32)).sum(-1).astype(np.uint32)
    assert np.array_equal(unpacked(turned(words), 4), codes.T)


@pytest.mark.parametrize(("columns", "group", "form"), [(96, 24, "F32"), (96, 32, "INT4_32"), (384, 384, "INT4_128")])
def test_groups_that_no_block_holds_become_f32(tmp_path: Path, columns: int, group: int, form: str) -> None:
    rng = np.random.default_rng(2)
    groups = columns // group
    scales = rng.random((groups, 8)).astype("<f2")
    parts: dict[str, Entry] = {
        "m.qweight": ("I32", [columns, 1], rng.integers(0, 1 << 32, columns, np.uint32).tobytes()),
        "m.qzeros": ("I32", [groups, 1], rng.integers(0, 1 << 32, groups, np.uint32).tobytes()),
        "m.scales": ("F16", [groups, 8], scales.tobytes()),
    }
    config = {"quantization_config": {"quant_method": "awq", "group_size": -1 if groups == 1 else group}}
    checkpoint = HfCheckpoint(folder_of(tmp_path, config, parts))
    assert checkpoint.tensors["m.weight"].format == form
    words, zeros = (np.frombuffer(parts[name][2], "<u4") for name in ("m.qweight", "m.qzeros"))
    expected = np.empty((8, columns), np.float32)
    for nibble, row in enumerate(ORDER):
        code = (words >> np.uint32(4 * nibble) & 15).astype(np.float32)
        zero = (zeros >> np.uint32(4 * nibble) & 15).astype(np.float32).repeat(group)
        expected[row] = scales[:, row].astype(np.float32).repeat(group) * (code - zero)
    assert np.array_equal(values_of(checkpoint), expected)


@pytest.mark.parametrize(("rows", "columns", "form"), [(200, 320, "FP8_32"), (130, 256, "FP8_128"), (3, 200, "F32")])
def test_blocks_that_the_matrix_does_not_fill(tmp_path: Path, rows: int, columns: int, form: str) -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 0x7F, (rows, columns), np.uint8)
    grid = (-(-rows // 128), -(-columns // 128))
    scales = rng.random(grid).astype("<f4")
    parts: dict[str, Entry] = {
        "m.weight": ("F8_E4M3", [rows, columns], codes.tobytes()),
        "m.weight_scale_inv": ("F32", list(grid), scales.tobytes()),
    }
    config = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    checkpoint = HfCheckpoint(folder_of(tmp_path, config, parts))
    assert checkpoint.tensors["m.weight"].format == form
    wide = scales.repeat(128, 0)[:rows].repeat(128, 1)[:, :columns]
    assert np.array_equal(values_of(checkpoint), wide * fp8(codes))


def test_scales_that_are_powers_of_two(tmp_path: Path) -> None:
    parts: dict[str, Entry] = {
        "m.weight": ("F8_E4M3", [2, 32], bytes([0x38] * 64)),
        "m.weight_scale": ("F8_E8M0", [2, 1], bytes([127, 120])),
    }
    config = {"quantization_config": {"quant_method": "fp8"}}
    values = values_of(HfCheckpoint(folder_of(tmp_path, config, parts)))
    assert values[:, 0].tolist() == [1.0, 2.0**-7]


Change = Callable[[dict[str, object], dict[str, Entry]], object]


def put(name: str, dtype: str, shape: list[int], data: bytes) -> Change:
    return lambda config, parts: parts.update({name: (dtype, shape, data)})


def drop(name: str) -> Change:
    return lambda config, parts: parts.pop(name)


def state(**values: object) -> Change:
    return lambda config, parts: config.update(values)


NAN16, NAN32 = b"\0\x7e", b"\0\0\xc0\x7f"
FAULTS: dict[str, tuple[str, Change, type[UndicedError], str]] = {
    "fp8 without scales": ("fp8-blocks", drop("m.weight_scale_inv"), CheckpointError, "weight_scale_inv' is missing"),
    "fp8 of other blocks": ("fp8-blocks", state(weight_block_size=[16, 32]), CheckpointError, "of blocks of 16 x 32"),
    "fp8 of no blocks": ("fp8-blocks", state(weight_block_size=None), CheckpointError, "of the matrix or of its rows"),
    "fp8 block of text": ("fp8-blocks", state(weight_block_size="8"), CheckpointError, "expected two whole numbers"),
    "fp8 block of nothing": ("fp8-blocks", state(weight_block_size=[0, 32]), CheckpointError, "two whole numbers"),
    "fp8 scale NaN": (
        "fp8-blocks", put("m.weight_scale_inv", "F32", [1], NAN32), CheckpointError, "scales that are not finite"),
    "fp8 NaN": ("fp8-blocks", put("m.weight", "F8_E4M3", [16, 128], b"\x7f" * 2048), CheckpointError, "are NaN"),
    "fp8 of another kind": (
        "fp8-blocks", put("m.weight", "F8_E5M2", [16, 128], bytes(2048)), UnsupportedError, "'F8_E5M2'"),
    "fp8 said to be another kind": ("fp8-blocks", state(fmt="e5m2"), UnsupportedError, "'e5m2'"),
    "fp8 in three dimensions": (
        "fp8-blocks", put("m.weight", "F8_E4M3", [2, 8, 128], bytes(2048)), CheckpointError, "not one of 2 dimensions"),
    "awq of another version": ("awq-g128", state(version="gemv"), UnsupportedError, "'gemv'"),
    "awq of three bits": ("awq-g128", state(bits=3), UnsupportedError, "3 bits"),
    "awq without zeros": ("awq-g128", drop("m.qzeros"), CheckpointError, "qzeros' is missing"),
    "awq of other groups": ("awq-g128", state(group_size=64), CheckpointError, "in groups of 64 do not make"),
    "awq groups of text": ("awq-g128", state(group_size="128"), CheckpointError, "expected a whole number"),
    "awq scale NaN": ("awq-g128", put("m.scales", "F16", [1, 16], NAN16 * 16), CheckpointError, "not finite"),
    "awq zeros of another shape": (
        "awq-g128", put("m.qzeros", "I32", [2, 2], bytes(16)), CheckpointError, r"\(2, 2\), expected \(1, 2\)"),
    "awq codes of bytes": ("awq-g128", put("m.qweight", "U8", [128, 8], bytes(1024)), UnsupportedError, "'U8'"),
    "gptq of another format": ("gptq-int4-g32", state(checkpoint_format="marlin"), UnsupportedError, "'marlin'"),
    "gptq of two bits": ("gptq-int4-g32", state(bits=2), UnsupportedError, "2 bits"),
    "gptq of two bits by its shapes": (
        "gptq-int4-g32", put("m.qweight", "I32", [8, 32], bytes(1024)), UnsupportedError, "weights of 2 bits"),
    "gptq without scales": ("gptq-int4-g32", drop("m.scales"), CheckpointError, "scales' is missing"),
    "gptq of unknown groups": (
        "gptq-int4-g32", put("m.g_idx", "I32", [128], b"\x04\0\0\0" * 128), CheckpointError, "beyond the 4"),
    "gptq of negative groups": (
        "gptq-int4-g32", put("m.g_idx", "I32", [128], b"\xff" * 512), CheckpointError, "beyond the 4"),
    "gptq scales of another shape": (
        "gptq-int4-g32", put("m.scales", "F16", [4, 16], bytes(128)), CheckpointError, r"expected \(4, 32\)"),
    "packed without shape": ("compressed-int4", drop("m.weight_shape"), CheckpointError, "weight_shape' is missing"),
    "packed of another shape": (
        "compressed-int4", put("m.weight_shape", "I64", [2], struct.pack("<2q", 17, 128)), CheckpointError, "17 x 128"),
    "packed of a giant shape": (
        "compressed-int4", put("m.weight_shape", "I64", [2], struct.pack("<2q", 16, 1 << 62)), UnsupportedError, "bit"),
    "packed of a negative shape": (
        "compressed-int4", put("m.weight_shape", "I64", [2], struct.pack("<2q", 16, -8)), CheckpointError, "x -8"),
    "packed with scales of no groups": (
        "compressed-int4", put("m.weight_scale", "BF16", [16, 5], bytes(160)), CheckpointError, "no scales of groups"),
    "packed with zeros of another shape": (
        "compressed-int4-zeros", put("m.weight_zero_point", "I32", [3, 4], bytes(48)), CheckpointError, r"\(2, 4\)"),
    "compressed otherwise": ("compressed-int4", state(format="nvfp4-pack-quantized"), UnsupportedError, "nvfp4"),
    "compressed and sparse": (
        "compressed-int4", state(sparsity_config={"format": "sparse-24-bitmask"}), UnsupportedError, "sparse weights"),
    "compressed and turned": (
        "compressed-int4", state(transform_config={"config_groups": {}}), UnsupportedError, "transformed activations"),
    "compressed groups in a list": ("compressed-int4", state(config_groups=[]), CheckpointError, "expected an object"),
    "mxfp4 without scales": ("mxfp4", drop("m_scales"), CheckpointError, "m_scales' is missing"),
    "mxfp4 scale NaN": ("mxfp4", put("m_scales", "U8", [2, 8, 4], b"\xff" * 64), CheckpointError, "NaN"),
    "mxfp4 in blocks of eight": ("mxfp4", put("m_blocks", "U8", [2, 8, 8, 8], bytes(1024)), CheckpointError, "of 16"),
    "mxfp4 of other scales": ("mxfp4", put("m_scales", "U8", [2, 4, 8], bytes(64)), CheckpointError, r"\(2, 8, 4\)"),
    "another method": ("mxfp4", state(quant_method="hqq"), UnsupportedError, "by the method 'hqq'"),
    "no text as method": ("mxfp4", state(quant_method=["awq"]), UnsupportedError, "by the method"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_by_name_and_with_a_remedy(tmp_path: Path, fault: str) -> None:
    case, change, kind, message = FAULTS[fault]
    config, parts = parts_of(case)
    parts.pop("expected")
    change(config["quantization_config"], parts)  # type: ignore[arg-type]
    with pytest.raises(kind, match=message) as caught:
        checkpoint = HfCheckpoint(folder_of(tmp_path, config, parts))
        for name in checkpoint.tensors:
            checkpoint.raw(name)
    assert caught.value.remedy and str(tmp_path) not in str(caught.value)


def test_a_weight_that_is_also_there_dense_is_refused(tmp_path: Path) -> None:
    config, parts = parts_of("awq-g128")
    parts["m.weight"] = parts.pop("expected")
    with pytest.raises(CheckpointError, match=r"m\.weight' is there twice"):
        HfCheckpoint(folder_of(tmp_path, config, parts))
