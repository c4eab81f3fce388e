"""Hostile quantized folders: all weights in their formats, of finite scales and of the size that they claim, or one of
our errors, whatever the parts and whatever config.json says of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undiced.checkpoint import HfCheckpoint
from undiced.checkpoint.decode import to_float
from undiced.core.errors import CheckpointError, UnsupportedError

FUZZ = settings(max_examples=120, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
GOLDEN = Path(__file__).parents[1] / "golden" / "schemes"
CASES = sorted(path.stem for path in GOLDEN.iterdir())
DTYPES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I64": 8, "I8": 1, "U8": 1, "F8_E4M3": 1, "F8_E8M0": 1, "F8_E5M2": 1}
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.sampled_from([0, 3, 8, 32, 128]) | st.text(max_size=4)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=4), SCALARS, max_size=2)
KEYS = (
    "quant_method", "bits", "group_size", "version", "format", "checkpoint_format", "fmt", "weight_block_size",
    "config_groups", "sparsity_config", "kv_cache_scheme", "transform_config",
)  # fmt: skip

Parts = dict[str, tuple[str, list[int], bytes]]


def parts_of(case: str) -> tuple[dict[str, dict[str, object]], Parts]:
    data = (GOLDEN / f"{case}.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    config = json.loads(header.pop("__metadata__")["config"])
    header.pop("expected")
    body = data[8 + length :]
    return config, {n: (e["dtype"], e["shape"], body[slice(*e["data_offsets"])]) for n, e in header.items()}


def write(folder: Path, config: object, parts: Parts) -> None:
    header, at = {}, 0
    for name, (dtype, shape, data) in parts.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    raw = json.dumps(header).encode()
    body = b"".join(data for _, _, data in parts.values())
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + body)
    (folder / "config.json").write_text(json.dumps(config))


def outcome(folder: Path) -> bool:
    """Open the folder and put all of its weights together; -> whether it was accepted. All but our errors escapes."""
    try:
        checkpoint = HfCheckpoint(folder)
        for name, info in checkpoint.tensors.items():
            raw = checkpoint.raw(name)
            assert raw.nbytes == info.nbytes and raw.readonly
            values = to_float(info, raw)
            assert values.shape == info.shape
            if info.stored:
                assert not np.isnan(values).any()
        assert len(checkpoint.digest) == 64
        checkpoint.close()
    except (CheckpointError, UnsupportedError) as error:
        assert error.remedy and len(error.message) < 700 and str(folder) not in str(error)
        return False
    return True


@pytest.mark.parametrize("case", CASES)
def test_what_is_whole_is_accepted(tmp_path: Path, case: str) -> None:
    write(tmp_path, *parts_of(case))
    assert outcome(tmp_path)


@FUZZ
@given(case=st.sampled_from(CASES), data=st.data())
def test_config_json_may_say_anything(tmp_path: Path, case: str, data: st.DataObject) -> None:
    config, parts = parts_of(case)
    for _ in range(data.draw(st.integers(1, 3))):
        config["quantization_config"][data.draw(st.sampled_from(KEYS))] = data.draw(VALUES)
    write(tmp_path, config, parts)
    outcome(tmp_path)


@FUZZ
@given(case=st.sampled_from(CASES), data=st.data())
def test_parts_may_be_anything(tmp_path: Path, case: str, data: st.DataObject) -> None:
    config, parts = parts_of(case)
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(st.sampled_from(sorted(parts)))
        dtype, shape, raw = parts[name]
        how = data.draw(st.sampled_from(["drop", "bytes", "shape", "dtype", "new"]))
        if how == "drop" and len(parts) > 1:
            del parts[name]
        elif how == "bytes":
            at = data.draw(st.integers(0, max(0, len(raw) - 1)))
            changed = data.draw(st.binary(min_size=1, max_size=16))
            parts[name] = (dtype, shape, (raw[:at] + changed + raw[at + len(changed) :])[: len(raw)])
        elif how == "shape":
            parts[name] = (dtype, data.draw(st.permutations(shape)), raw)
        elif how == "dtype":
            other = data.draw(st.sampled_from([d for d, width in DTYPES.items() if width == DTYPES[dtype]]))
            parts[name] = (other, shape, raw)
        elif how == "new":
            new = data.draw(st.lists(st.integers(0, 5), max_size=3))
            size = DTYPES[dtype] * int(np.prod(new, dtype=int))
            parts[name] = (dtype, new, data.draw(st.binary(min_size=size, max_size=size)))
    write(tmp_path, config, parts)
    outcome(tmp_path)
