"""The GGUF reader: what it reads from a good file, and that each way of being bad gets its own clear refusal."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.gguf_writer import ARRAY, BOOL, I32, STRING, U8, U32, Gguf, Tensor, small

from undiced.checkpoint import GgufCheckpoint
from undiced.checkpoint.gguf import KNOWN_TYPES
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.formats import FORMATS


def opened(tmp_path: Path, content: Gguf | bytes) -> GgufCheckpoint:
    path = tmp_path / "model.gguf"
    path.write_bytes(content if isinstance(content, bytes) else content.bytes())
    return GgufCheckpoint(path)


def test_metadata_has_python_values(tmp_path: Path) -> None:
    fields = opened(tmp_path, small()).metadata
    assert fields["general.architecture"] == "llama"
    assert fields["llama.rope.freq_base"] == 10000.0
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert fields["big"] == 1 << 63
    assert fields["tokenizer.ggml.tokens"] == ["<s>", "a", "", "Ġthe", "日本"]
    assert fields["tokenizer.ggml.token_type"] == [3, 1, 1, 1, -1]
    assert fields["tokenizer.ggml.flags"] == [True, False]
    assert fields["tokenizer.ggml.tokens"] is fields["tokenizer.ggml.tokens"]
    assert len(fields) == len(list(fields)) == 9
    assert "missing" not in fields and fields.get("missing") is None


def test_tensors_are_outermost_first_and_views_of_the_file(tmp_path: Path) -> None:
    file = small()
    checkpoint = opened(tmp_path, file)
    assert checkpoint.kind == "gguf"
    assert list(checkpoint.tensors) == [tensor.name for tensor in file.tensors]
    assert checkpoint.tensors["blk.0.ffn_up.weight"].shape == (2, 3, 32)
    assert checkpoint.tensors["token_embd.weight"].format == "Q8_0"
    for tensor in file.tensors:
        view = checkpoint.raw(tensor.name)
        assert view == tensor.data
        assert view.readonly
        assert checkpoint.tensors[tensor.name].nbytes == len(tensor.data)


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_alignment_is_obeyed(tmp_path: Path, alignment: int) -> None:
    file = small()
    file.fields.append(("general.alignment", U32, alignment))
    file.alignment = alignment
    assert opened(tmp_path, file).raw("blk.0.ffn_up.weight") == file.tensors[2].data


def test_version_2_and_files_without_tensors_open(tmp_path: Path) -> None:
    file = replace(small(), version=2, tensors=[])
    assert opened(tmp_path, file).tensors == {}


def test_name_comes_from_the_file_then_from_the_path(tmp_path: Path) -> None:
    assert opened(tmp_path, small()).name == "Tiny é"
    assert opened(tmp_path, Gguf()).name == "model"
    assert opened(tmp_path, Gguf([("general.name", STRING, "evil\x1b[2J")])).name == "model"


def test_digest_follows_content_not_place(tmp_path: Path) -> None:
    first = opened(tmp_path, small()).digest
    moved = tmp_path / "moved.gguf"
    moved.write_bytes(small().bytes())
    assert GgufCheckpoint(moved).digest == first
    changed = small()
    changed.tensors[1].data = bytes(256)
    assert opened(tmp_path, changed).digest != first
    renamed = small()
    renamed.fields[1] = ("general.name", STRING, "Tiny e")
    assert opened(tmp_path, renamed).digest != first


def test_views_outlive_close(tmp_path: Path) -> None:
    file = small()
    checkpoint = opened(tmp_path, file)
    view = checkpoint.raw("blk.0.ffn_up.weight")
    checkpoint.close()
    checkpoint.close()
    assert view == file.tensors[2].data
    with pytest.raises(CheckpointError, match="closed"):
        checkpoint.raw("blk.0.ffn_up.weight")


def test_unknown_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tensor 'output\.weight'"):
        opened(tmp_path, small()).raw("output.weight")


def with_field(key: str, kind: int, item: object) -> Gguf:
    file = small()
    file.fields.append((key, kind, item))
    return file


def renamed(name: bytes) -> Gguf:
    file = small()
    file.fields[1] = ("general.name", STRING, name)
    return file


def with_tensor(**changes: object) -> Gguf:
    file = small()
    file.tensors[2] = replace(file.tensors[2], **changes)  # type: ignore[arg-type]
    return file


def raw_field(kind: int, payload: bytes) -> bytes:
    """A file with one metadata key `k` of type `kind`, its value given as bytes."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind) + payload


HUGE = 1 << 62
BAD: dict[str, tuple[Callable[[], Gguf | bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "short": (lambda: b"GGUF\3\0\0\0", "header needs 24 bytes"),
    "magic": (lambda: replace(small(), magic=b"GGML"), "not a GGUF file"),
    "keys": (lambda: replace(small(), key_count=HUGE), f"{HUGE} metadata keys"),
    "keys beyond the file": (lambda: replace(small(), key_count=500), "."),
    "tensors": (lambda: replace(small(), tensor_count=HUGE), f"{HUGE} tensors"),
    "tensors beyond the file": (lambda: replace(small(), tensor_count=1000), "."),
    "key twice": (lambda: with_field("llama.block_count", U32, 1), "'llama.block_count' occurs twice"),
    "value type": (lambda: raw_field(99, bytes(64)), "'k' has the unknown value type 99"),
    "string length": (lambda: raw_field(STRING, struct.pack("<Q", HUGE)), f"'k' claims {HUGE} bytes"),
    "string beyond": (lambda: raw_field(STRING, struct.pack("<Q", 5) + b"abc"), "'k' needs 5 bytes"),
    "array type": (lambda: raw_field(ARRAY, struct.pack("<IQ", 77, 1)), "array of the unknown value type 77"),
    "array count": (lambda: raw_field(ARRAY, struct.pack("<IQ", U8, HUGE)), f"'k' claims {HUGE} elements"),
    "array beyond": (lambda: raw_field(ARRAY, struct.pack("<IQ", I32, 100)), "'k' needs 400 bytes"),
    "strings beyond": (lambda: raw_field(ARRAY, struct.pack("<IQQ", STRING, 1, HUGE)), "'k' needs"),
    "strings past any": (lambda: raw_field(ARRAY, struct.pack("<IQQQ", STRING, 2, 2**64 - 1, 0)), "'k' runs past"),
    "alignment": (lambda: with_field("general.alignment", U32, 33), "general.alignment is '33'"),
    "alignment type": (lambda: with_field("general.alignment", STRING, "32"), "general.alignment is '32'"),
    "alignment zero": (lambda: with_field("general.alignment", U32, 0), "general.alignment is '0'"),
    "dimensions": (lambda: with_tensor(dims=(32, 1, 1, 1, 1)), "5 dimensions"),
    "no dimensions": (lambda: with_tensor(dims=()), "0 dimensions"),
    "empty shape": (lambda: with_tensor(dims=(32, 0)), r"empty shape \(0, 32\)"),
    "giant shape": (lambda: with_tensor(dims=(HUGE, HUGE, HUGE, HUGE)), "exceeds the file"),
    "block": (lambda: with_tensor(dims=(33,)), "no multiple of the Q4_1 block, 32"),
    "misaligned": (lambda: with_tensor(offset=33), "not aligned to 32"),
    "beyond": (lambda: with_tensor(offset=1 << 40), "exceeds the file"),
    "overlap": (lambda: with_tensor(offset=0), "overlap"),
    "tensor twice": (lambda: with_tensor(name="token_embd.weight"), "'token_embd.weight' occurs twice"),
    "truncated": (lambda: small().bytes()[:-64], "'blk.0.ffn_up.weight' .*exceeds the file"),
    "long name": (lambda: with_tensor(name="x" * 300), "claims 300 bytes"),
    "parts": (lambda: with_field("split.count", U32, 3), "one of 3 parts of a model, and not named like one"),
}
UNSUPPORTED: dict[str, tuple[Callable[[], Gguf | bytes], str]] = {
    "version 1": (lambda: replace(small(), version=1), "GGUF version 1"),
    "version 9": (lambda: replace(small(), version=9), "GGUF version 9"),
    "big-endian": (lambda: replace(small(), version=3 << 24), "big-endian"),
    "nested": (lambda: raw_field(ARRAY, struct.pack("<IQ", ARRAY, 1)), "'k' is an array of arrays"),
    "known format": (lambda: with_tensor(kind=21), "'blk.0.ffn_up.weight' has the number format IQ3_S"),
    "unknown format": (lambda: with_tensor(kind=4444), "number format 4444"),
}


@pytest.mark.parametrize("case", BAD)
def test_damage_is_refused_by_name(tmp_path: Path, case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(CheckpointError, match=message) as caught:
        opened(tmp_path, make())
    assert "model.gguf" in caught.value.message and caught.value.remedy


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_is_not_read_is_named(tmp_path: Path, case: str) -> None:
    make, message = UNSUPPORTED[case]
    with pytest.raises(UnsupportedError, match=message) as caught:
        opened(tmp_path, make())
    assert caught.value.remedy


def test_bad_strings_in_arrays_are_refused_when_asked_for(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, with_field("k", ARRAY, (STRING, ["fine", b"\xff"])))
    with pytest.raises(CheckpointError, match=r"'k'\[1\] is not valid UTF-8"):
        checkpoint.metadata["k"]


@pytest.mark.parametrize(
    ("kind", "payload", "message"),
    [
        (STRING, struct.pack("<Q", 2) + b"\xff\xfe", "'k' is not valid UTF-8"),
        (BOOL, b"\2", "'k' is a boolean with the value 2"),
    ],
)
def test_metadata_that_is_not_used_need_not_be_valid(tmp_path: Path, kind: int, payload: bytes, message: str) -> None:
    checkpoint = opened(tmp_path, raw_field(kind, payload))
    assert list(checkpoint.metadata) == ["k"] and checkpoint.metadata.get("other") is None
    with pytest.raises(CheckpointError, match=message):
        checkpoint.metadata.get("k")


def test_a_name_that_cannot_be_read_is_the_files(tmp_path: Path) -> None:
    assert opened(tmp_path, renamed(b"\xff")).name == "model"


@pytest.mark.parametrize(
    ("kind", "name"),
    [(4, "Q4_2"), (31, "Q4_0_4_4"), (33, "Q4_0_8_8"), (36, "IQ4_NL_4_4"), (35, "TQ2_0"), (16, "IQ2_XXS"), (40, "NVFP4"),
     (42, "Q2_0")],
)  # fmt: skip
def test_every_format_of_ggml_has_its_name(tmp_path: Path, kind: int, name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"has the number format {name}\\."):
        opened(tmp_path, with_tensor(kind=kind))
    assert not set(range(43)) - set(KNOWN_TYPES) - {f.ggml_type for f in FORMATS.values()}


def test_a_file_that_changes_while_open_is_refused(tmp_path: Path) -> None:
    content = small().bytes()
    checkpoint = opened(tmp_path, content)
    first = content.index(b"<s>") - 8
    with (tmp_path / "model.gguf").open("r+b") as out:
        out.seek(first)
        out.write(struct.pack("<Q", HUGE))
    with pytest.raises(CheckpointError, match="changed while the file was open"):
        checkpoint.metadata["tokenizer.ggml.tokens"]


def test_a_pipe_and_a_missing_file_are_refused_at_once(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="not a regular file"):
        GgufCheckpoint(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="No such file"):
        GgufCheckpoint(tmp_path / "missing.gguf")


def test_tensor_without_data_after_the_header_is_refused(tmp_path: Path) -> None:
    file = Gguf(tensors=[Tensor("w", (4,), 0, bytes(16))])
    with pytest.raises(CheckpointError, match="'w' of 16 bytes"):
        opened(tmp_path, file.header())
