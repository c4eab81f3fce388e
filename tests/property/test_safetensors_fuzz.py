"""Hostile safetensors files and folders: success or one of our errors, whatever the bytes; and never more
lenient than the safetensors library."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undiced.checkpoint import HfCheckpoint
from undiced.checkpoint.decode import to_float
from undiced.checkpoint.safetensors import SafetensorsFile
from undiced.core.errors import CheckpointError, UnsupportedError

FUZZ = settings(
    max_examples=150,
    deadline=2000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
DATA = bytes(range(24))
HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
    "c": {"dtype": "U8", "shape": [2], "data_offsets": [22, 24]},
}


def file_bytes(header: bytes, data: bytes = DATA) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


SMALL = file_bytes(json.dumps(HEADER).encode())


def outcome(folder: Path, data: bytes) -> bool:
    """Open a file and decode all of it; -> whether it was accepted. Anything but our errors escapes."""
    path = folder / "model.safetensors"
    path.write_bytes(data)
    try:
        file = SafetensorsFile(path)
        for info in file.tensors.values():
            to_float(info, file.file.view(info.offset, info.nbytes))
        assert len(file.fingerprint()) == 32
        file.file.close()
    except (CheckpointError, UnsupportedError) as error:
        assert error.remedy and len(error.message) < 700
        return False
    return True


def library_accepts(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return file.keys() is not None
    except SafetensorError:
        return False


mutations = st.lists(
    st.tuples(st.integers(0, len(SMALL) - 1), st.binary(min_size=1, max_size=9), st.integers(0, 9)),
    min_size=1,
    max_size=4,
)


def mutated(edits: list[tuple[int, bytes, int]]) -> bytes:
    data = bytearray(SMALL)
    for at, replacement, removed in edits:
        data[at : at + removed] = replacement
    return bytes(data)


@FUZZ
@given(edits=mutations)
def test_mutations(tmp_path: Path, edits: list[tuple[int, bytes, int]]) -> None:
    outcome(tmp_path, mutated(edits))


@pytest.mark.oracle
@settings(FUZZ, max_examples=1000)
@given(edits=mutations)
def test_what_is_accepted_the_library_accepts(tmp_path: Path, edits: list[tuple[int, bytes, int]]) -> None:
    if outcome(tmp_path, mutated(edits)):
        assert library_accepts(tmp_path / "model.safetensors")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    assert outcome(tmp_path, SMALL)
    for length in range(len(SMALL)):
        assert not outcome(tmp_path, SMALL[:length]), length


sizes = (
    st.sampled_from([0, 1, 2, 4, 8, 16, 24, -1, 2**31, 2**63, 2**64, 10**400]) | st.floats() | st.booleans() | st.none()
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "F16", "BF16", "U8", "F64", "", "F8_E5M2", None, 3]),
        "shape": st.lists(sizes, max_size=10) | sizes,
        "data_offsets": st.lists(sizes, max_size=3) | sizes,
    },
)


@FUZZ
@given(
    header=st.dictionaries(st.sampled_from(["a", "b", "c", "__metadata__"]), entries | sizes), length=st.integers(0, 24)
)
def test_headers_of_odd_values(tmp_path: Path, header: dict[str, object], length: int) -> None:
    outcome(tmp_path, file_bytes(json.dumps(header).encode(), DATA[:length]))


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(FUZZ, max_examples=120)
@given(config=documents, index=st.none() | documents, files=st.dictionaries(st.text(max_size=12), st.text(max_size=30)))
def test_folders_of_odd_documents(tmp_path: Path, config: object, index: object, files: dict[str, str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(SMALL)
    listing = tmp_path / "model.safetensors.index.json"
    listing.unlink(missing_ok=True)
    if index is not None:
        listing.write_text(json.dumps({"weight_map": files} if files else index))
    try:
        checkpoint = HfCheckpoint(tmp_path)
        assert set(checkpoint.tensors) == {"a", "b"} and checkpoint.digest
        assert isinstance(config, dict) and index is None
        checkpoint.close()
    except (CheckpointError, UnsupportedError) as error:
        assert error.remedy and error.message.encode()
