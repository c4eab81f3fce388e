"""Every number format against the `gguf` package, bit by bit; files against its and the safetensors library's readers.

Run as a script, it rewrites the committed golden of the unit tests.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from undiced.checkpoint import open_checkpoint
from undiced.checkpoint.decode import to_float
from undiced.checkpoint.safetensors import SafetensorsFile
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.formats import FORMATS, GGUF_FORMATS

GOLDEN = Path(__file__).parents[1] / "unit" / "checkpoint" / "golden_formats.json"
EXTREME_HALVES = np.array([0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00], np.uint16)
HALF_OFFSETS = {
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "Q8_K": (),
    "Q4_1": (0, 2),
    "Q5_1": (0, 2),
    "MXFP4": (),
}


def random_rows(name: str, rows: int, columns: int, seed: int) -> np.ndarray:
    """(rows, bytes per row) of random blocks; every other block gets an extreme scale and minimum."""
    stored = FORMATS[name]
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (rows * columns // stored.block, stored.block_bytes), dtype=np.uint8)
    if stored.quantized:
        for offset in HALF_OFFSETS.get(name, (0,)):
            extreme = rng.choice(EXTREME_HALVES, len(blocks[::2]))
            blocks[::2, offset : offset + 2] = extreme[:, None].view(np.uint8)
    return blocks.reshape(rows, -1)


def reference(name: str, raw: np.ndarray) -> np.ndarray:
    from gguf import GGMLQuantizationType, dequantize

    if name == "Q8_K":  # the package knows its size alone: a float32 scale, 256 int8, and sums that say nothing new
        blocks = raw.reshape(-1, FORMATS[name].block_bytes)
        with np.errstate(all="ignore"):
            return (blocks[:, :4].copy().view("<f4") * blocks[:, 4:260].view(np.int8)).astype(np.float32)
    dense = {"F32": np.float32, "F16": np.float16}
    with np.errstate(all="ignore"):
        return dequantize(raw.view(dense[name]) if name in dense else raw, GGMLQuantizationType[name]).astype(
            np.float32
        )


def assert_same_bits(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal bits, signs of zero included; a NaN need only be a NaN."""
    same = ours.view(np.uint32) == theirs.reshape(ours.shape).view(np.uint32)
    assert np.all(same | (np.isnan(ours) & np.isnan(theirs.reshape(ours.shape))))


@pytest.mark.oracle
@pytest.mark.parametrize("name", GGUF_FORMATS)
def test_random_blocks(name: str) -> None:
    for seed in range(4):
        raw = random_rows(name, 64, 1024, seed)
        info = TensorInfo("w", (64, 1024), name, 0, raw.nbytes)
        assert_same_bits(to_float(info, memoryview(raw.tobytes())), reference(name, raw))


@pytest.mark.oracle
@pytest.mark.model
@pytest.mark.parametrize("model", ["smollm2-135m", "gemma3-270m"])
def test_packaged_models_agree_with_the_gguf_reader(model: str) -> None:
    """Metadata, tensor table and, a tensor of each format, all values."""
    from gguf import GGUFReader

    checkpoint = open_checkpoint(model)
    reader = GGUFReader(checkpoint.path)
    fields = {key: part.contents() for key, part in reader.fields.items() if not key.startswith("GGUF.")}
    assert dict(checkpoint.metadata) == fields
    assert [tensor.name for tensor in reader.tensors] == list(checkpoint.tensors)
    checked = set()
    for tensor in reader.tensors:
        info = checkpoint.tensors[tensor.name]
        assert info.shape == tuple(int(size) for size in reversed(tensor.shape))
        assert info.format == tensor.tensor_type.name and info.offset == tensor.data_offset
        assert info.nbytes == tensor.n_bytes
        if info.format not in checked:
            checked.add(info.format)
            ours = to_float(info, checkpoint.raw(info.name))
            raw = np.frombuffer(checkpoint.raw(info.name), np.uint8).reshape(*info.shape[:-1], -1)
            assert_same_bits(ours, reference(info.format, raw))


@pytest.mark.oracle
def test_safetensors_files_of_the_library(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.normal(size=(3, 5)).astype(np.float32),
        "b": rng.normal(size=(7,)).astype(np.float16),
        "scalar": np.array(2.5, np.float32),
        "none": np.zeros((0, 4), np.float32),
    }
    save_file(arrays, tmp_path / "x.safetensors")
    file = SafetensorsFile(tmp_path / "x.safetensors")
    assert set(file.tensors) == set(arrays)
    for name, array in arrays.items():
        info = file.tensors[name]
        assert info.shape == array.shape
        np.testing.assert_array_equal(to_float(info, file.file.view(info.offset, info.nbytes)), array)


def write_golden() -> None:
    golden = {}
    for name in GGUF_FORMATS:
        stored = FORMATS[name]
        rng = np.random.default_rng(stored.ggml_type)
        columns = stored.block if stored.quantized else 16
        raw = random_rows(name, 2, columns, stored.ggml_type)
        if stored.quantized:  # moderate scales and minimums: no NaN, whose bits are nobody's promise
            for offset in HALF_OFFSETS.get(name, (0,)):
                halves = rng.uniform(-0.1, 0.1, (2, 1)).astype(np.float16)
                raw[:, offset : offset + 2] = halves.view(np.uint8)
            if name == "Q8_K":
                raw[:, :4] = rng.uniform(-0.1, 0.1, (2, 1)).astype(np.float32).view(np.uint8)
        elif name != "F32":
            raw = rng.normal(size=(2, columns)).astype(np.float32 if name == "BF16" else np.float16).view(np.uint8)
            raw = raw.reshape(2, columns, -1)[:, :, -2:].reshape(2, -1).copy()
        else:
            raw = rng.normal(size=(2, columns)).astype(np.float32).view(np.uint8)
        golden[name] = {"raw": raw.tobytes().hex(), "float32": reference(name, raw).tobytes().hex()}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    write_golden()
