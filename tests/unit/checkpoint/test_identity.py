"""Whether the files of a model are the same as before, as the file system tells."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from undiced.checkpoint.identity import identity
from undiced.core.errors import CheckpointError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text(name)
    return tmp_path


def rewritten(file: Path) -> None:
    before = file.stat()
    time.sleep(0.02)  # file systems have clocks of some milliseconds
    file.write_text(file.read_text())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(file: Path) -> None:
    copy = file.with_name("copy")
    copy.write_text(file.read_text())
    copy.replace(file)


def grown(file: Path) -> None:
    file.write_text(file.read_text() + " ")


@pytest.mark.parametrize("change", [rewritten, replaced, grown])
@pytest.mark.parametrize("whole", [True, False])
def test_every_change_of_a_file_shows(folder: Path, change, whole: bool) -> None:
    file = folder / "model.safetensors"
    subject = folder if whole else file
    before = identity(subject)
    assert identity(subject) == before
    change(file)
    assert identity(subject) != before


def test_files_that_come_and_go_show_and_notes_do_not(folder: Path) -> None:
    before = identity(folder)
    (folder / "README.md").write_text("notes")
    assert identity(folder) == before
    (folder / "more.safetensors").write_bytes(b"")
    assert identity(folder) != before
    (folder / "more.safetensors").unlink()
    assert identity(folder) == before


def test_a_link_is_followed_to_what_it_means(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("links") / "model.gguf"
    link.symlink_to(folder / "model.safetensors")
    before = identity(link)
    link.unlink()
    link.symlink_to(folder / "config.json")
    assert identity(link) != before


def test_a_file_that_has_gone_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Cannot read .*gone\.gguf: No such file"):
        identity(folder / "gone.gguf")
