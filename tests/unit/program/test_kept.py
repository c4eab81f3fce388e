"""Programs that are kept: what comes back is what was put, and whatever is not surely that is as good as none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from support import tiny_models

from undiced.compiler import compile
from undiced.machine.host import host
from undiced.model import build_config, config_from_json
from undiced.program import Bounds
from undiced.program.kept import MOST_FILES, Kept, KeptPrograms

PROGRAM = compile(
    build_config(config_from_json(tiny_models.load_case("llama")["config"], "tiny")), host(1), Bounds(2, 32)
)
KEPT = Kept("0" * 64, b"of the model", PROGRAM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    KeptPrograms(tmp_path / "programs").put(KEPT)
    return tmp_path / "programs"


def test_a_program_comes_back_the_same(folder: Path) -> None:
    found = KeptPrograms(folder).get(KEPT.key)
    assert found == KEPT and found.program.digest == PROGRAM.digest
    assert KeptPrograms(folder).get("1" * 64) is None
    assert KeptPrograms(folder / "absent").get(KEPT.key) is None


def test_only_its_owner_may_read_or_write_it(folder: Path) -> None:
    [file] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("at", [0, 40, 500, -1])
def test_a_damaged_file_is_none(folder: Path, at: int) -> None:
    [file] = folder.iterdir()
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    assert KeptPrograms(folder).get(KEPT.key) is None


@pytest.mark.parametrize("data", [b"", b"x" * 31, bytes(4096)])
def test_a_file_of_something_else_is_none(folder: Path, data: bytes) -> None:
    [file] = folder.iterdir()
    file.write_bytes(data)
    assert KeptPrograms(folder).get(KEPT.key) is None


def test_a_file_under_another_name_is_none(folder: Path) -> None:
    [file] = folder.iterdir()
    file.rename(file.with_name(f"{'1' * 64}.program"))
    assert KeptPrograms(folder).get("1" * 64) is None


def test_a_folder_that_others_may_write_to_is_left_alone(folder: Path) -> None:
    folder.chmod(0o777)
    assert KeptPrograms(folder).get(KEPT.key) is None
    KeptPrograms(folder).put(Kept("2" * 64, b"", PROGRAM))
    assert len(list(folder.iterdir())) == 1


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    KeptPrograms(tmp_path / "file").put(KEPT)
    assert KeptPrograms(tmp_path / "file").get(KEPT.key) is None


def test_the_oldest_go_first(folder: Path) -> None:
    for at in range(MOST_FILES + 3):
        KeptPrograms(folder).put(replace_key(at))
        os.utime(folder / f"{at:064}.program", (at, at))
    names = sorted(file.name for file in folder.iterdir())
    assert len(names) <= MOST_FILES + 1
    assert f"{MOST_FILES + 2:064}.program" in names and f"{1:064}.program" not in names


def replace_key(at: int) -> Kept:
    return Kept(f"{at:064}", b"", replace(PROGRAM, facts=()))
