"""Hostile GGUF files: whatever the bytes, the outcome is an open file or one of our errors, soon and in little room."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import gguf_writer as writer

from undiced.checkpoint import GgufCheckpoint
from undiced.checkpoint.decode import to_float
from undiced.core.errors import CheckpointError, UnsupportedError

SMALL: bytes = writer.small().bytes()
HEADER_BYTES = len(writer.small().header())
EXTREMES = [0, 1, 7, 8, 31, 32, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1]
FUZZ = settings(
    max_examples=150,
    deadline=2000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def read_everything(path: Path) -> str:
    """Open a file, decode all of it; -> what became of it. Anything but success or our errors escapes."""
    try:
        checkpoint = GgufCheckpoint(path)
        values = [checkpoint.metadata[key] for key in checkpoint.metadata]
        numbers = [to_float(info, checkpoint.raw(name)).size for name, info in checkpoint.tensors.items()]
        assert checkpoint.digest and len(values) == len(checkpoint.metadata)
        assert sum(numbers) <= 8 * path.stat().st_size
        checkpoint.close()
    except (CheckpointError, UnsupportedError) as error:
        assert error.remedy and len(error.message) < 700
        return "refused"
    return "read"


def outcome(folder: Path, data: bytes) -> str:
    path = folder / "fuzz.gguf"
    path.write_bytes(data)
    return read_everything(path)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real-shaped file after a few overwritten bytes or lengths, insertions and removals, mostly in its header."""
    data = bytearray(SMALL)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, HEADER_BYTES - 1) | st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["byte", "u32", "u64", "insert", "remove"])):
            case "byte":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "u32":
                data[at : at + 4] = struct.pack("<I", draw(st.sampled_from(EXTREMES)) & 0xFFFFFFFF)
            case "u64":
                data[at : at + 8] = struct.pack("<Q", draw(st.sampled_from(EXTREMES)))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "remove":
                del data[at : at + draw(st.integers(1, 64))]
    return bytes(data)


@FUZZ
@given(data=mutated())
def test_mutations(tmp_path: Path, data: bytes) -> None:
    outcome(tmp_path, data)


def test_an_extreme_at_every_place(tmp_path: Path) -> None:
    """Exhaustive where chance could miss: each byte of the header begins a 64-bit extreme."""
    for at in range(HEADER_BYTES):
        outcome(tmp_path, SMALL[:at] + struct.pack("<Q", 2**64 - 32) + SMALL[at + 8 :])


@pytest.mark.slow
@pytest.mark.parametrize("extreme", EXTREMES[::3])
def test_every_extreme_at_every_place(tmp_path: Path, extreme: int) -> None:
    """The same with all extremes, of 64 and of 32 bits."""
    for at in range(HEADER_BYTES):
        outcome(tmp_path, SMALL[:at] + struct.pack("<Q", extreme) + SMALL[at + 8 :])
        outcome(tmp_path, SMALL[:at] + struct.pack("<I", extreme & 0xFFFFFFFF) + SMALL[at + 4 :])


def test_truncations_are_refused(tmp_path: Path) -> None:
    """The last 8 bytes are padding, without which the file is still whole."""
    assert outcome(tmp_path, SMALL) == "read"
    for length in range(0, len(SMALL) - 8, 3):
        assert outcome(tmp_path, SMALL[:length]) == "refused", length


@FUZZ
@given(
    data=st.binary(max_size=400),
    version=st.sampled_from([2, 3]),
    counts=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_noise_after_a_good_start(tmp_path: Path, data: bytes, version: int, counts: tuple[int, int]) -> None:
    outcome(tmp_path, b"GGUF" + struct.pack("<IQQ", version, *counts) + data)


tensors = st.builds(
    writer.Tensor,
    name=st.sampled_from(["a", "b", "c", ""]),
    dims=st.lists(st.sampled_from([0, 1, 2, 32, 33, 256, 512, 2**32, 2**63, 2**64 - 1]), max_size=5).map(tuple),
    kind=st.sampled_from([0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30, 4, 16, 2**32 - 1]),
    data=st.binary(max_size=300),
    offset=st.none() | st.sampled_from([0, 16, 32, 64, 96, 2**63, 2**64 - 32]),
)


@FUZZ
@given(table=st.lists(tensors, max_size=4), alignment=st.sampled_from([None, 0, 1, 8, 32, 48, 64, 2**31]))
def test_tensor_tables(tmp_path: Path, table: list[object], alignment: int | None) -> None:
    fields = [] if alignment is None else [("general.alignment", writer.U32, alignment)]
    outcome(tmp_path, writer.Gguf(fields, table).bytes())


def test_hostile_sizes_cost_neither_time_nor_memory(tmp_path: Path) -> None:
    """A sparse file of 64 GiB whose header claims whatever fits in it."""
    path = tmp_path / "sparse.gguf"
    claims = [
        struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 0, 2**34),  # an array of 16 Gi bytes
        struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 2**32),  # 4 Gi empty strings
        struct.pack("<Q", 1) + b"k" + struct.pack("<IQ", 8, 2**34),  # a string of 16 GiB
        struct.pack("<Q", 2**34),  # a key of 16 GiB
    ]
    for claim in claims:
        with path.open("wb") as out:
            out.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + claim)
            out.truncate(64 << 30)
        tracemalloc.start()
        begun = time.perf_counter()
        assert read_everything(path) == "refused"
        assert time.perf_counter() - begun < 1
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()


def test_long_string_arrays_are_not_decoded_until_asked_for(tmp_path: Path) -> None:
    count = 1 << 19
    path = tmp_path / "long.gguf"
    with path.open("wb") as out:
        out.write(
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, count)
        )
        out.truncate(100 + 8 * count)
    tracemalloc.start()
    checkpoint = GgufCheckpoint(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert len(checkpoint.metadata) == 1
