"""Models in several GGUF files: any part opens the whole, and parts that do not belong together are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.gguf_writer import STRING, Gguf, parts, small

from undiced.checkpoint import GgufCheckpoint, open_checkpoint
from undiced.checkpoint.gguf_parts import part_names
from undiced.core.errors import CheckpointError

NAMES = [f"tiny-0000{part}-of-00003.gguf" for part in (1, 2, 3)]


def written(folder: Path, files: list[Gguf]) -> Path:
    for name, file in zip(NAMES, files, strict=False):
        (folder / name).write_bytes(file.bytes())
    return folder


def replaced(file: Gguf, key: str, value: int) -> Gguf:
    file.fields = [(name, kind, value if name == key else old) for name, kind, old in file.fields]
    return file


@pytest.mark.parametrize("asked", NAMES)
def test_any_part_opens_the_whole_model(tmp_path: Path, asked: str) -> None:
    found = open_checkpoint(str(written(tmp_path, parts(3)) / asked))
    assert {name: bytes(found.raw(name)) for name in found.tensors} == {
        tensor.name: tensor.data for tensor in small().tensors
    }
    assert found.path.name == NAMES[0] and found.metadata["general.architecture"] == "llama"


def test_the_digest_depends_on_every_part(tmp_path: Path) -> None:
    files = parts(3)
    before = GgufCheckpoint(written(tmp_path, files) / NAMES[0]).digest
    files[2].tensors[0].data = bytes(len(files[2].tensors[0].data))
    assert GgufCheckpoint(written(tmp_path, files) / NAMES[0]).digest != before


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    (written(tmp_path, parts(3)) / NAMES[1]).unlink()
    with pytest.raises(CheckpointError, match=f"{NAMES[1]} is not beside it"):
        GgufCheckpoint(tmp_path / NAMES[2])


STRANGE: dict[str, tuple[Callable[[list[Gguf]], object], str]] = {
    "order": (lambda files: files.reverse(), "is number 2, from 0, of 3"),
    "count": (lambda files: replaced(files[1], "split.count", 4), "is number 1, from 0, of 4"),
    "tensors": (lambda files: replaced(files[0], "split.tensors.count", 7), "tells of 7 tensors; all parts have 3"),
    "twice": (lambda files: files[2].tensors.append(files[0].tensors[0]), "which another part has, too"),
    "whole": (lambda files: files[1].fields.clear(), "is number 0, from 0, of 1"),
    "words": (lambda files: files[1].fields.__setitem__(0, ("split.no", STRING, "x")), "is number 'x', from 0, of 3"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path, case: str) -> None:
    change, message = STRANGE[case]
    files = parts(3)
    change(files)
    with pytest.raises(CheckpointError, match=message):
        GgufCheckpoint(written(tmp_path, files) / NAMES[0])


@pytest.mark.parametrize("name", ["a.gguf", "a-00004-of-00003.gguf", "a-00001-of-01000.gguf", "a-00000-of-00002.gguf"])
def test_a_name_that_no_part_has_is_its_own(name: str) -> None:
    assert part_names(name) == (name,)
