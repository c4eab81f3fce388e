"""The progress file: nobody takes a living process's one for a dead one's, and a slot is never two answers'."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from undiced.account import progress
from undiced.account.progress import LeftBehind, Progress, progress_of


def test_a_file_has_its_name_only_once_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Path]] = []
    rename = Path.rename

    def spying(path: Path, target: Path) -> Path:
        seen.append(list(tmp_path.glob("*.progress")))
        with path.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", spying)
    Progress(tmp_path, "ins_a")
    assert seen == [[]]
    assert progress_of(tmp_path, "ins_a").exists()
    assert list(LeftBehind.all(tmp_path)) == []


def test_its_bytes_are_on_the_disk_before_any_is_stored(tmp_path: Path) -> None:
    """A store into a hole of a file on a full disk kills the process."""
    Progress(tmp_path, "ins_a")
    found = progress_of(tmp_path, "ins_a").stat()
    assert found.st_blocks * 512 >= found.st_size > 0


def test_slots_are_taken_once_and_run_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SLOTS", 3)
    slots = Progress(tmp_path, "ins_a")
    first, second, third = slots.take(), slots.take(), slots.take()
    assert {first, second, third} == {0, 1, 2}
    assert slots.take() is None
    assert second is not None
    slots.give(second)
    assert slots.take() == second


def test_what_is_not_settled_stays_for_the_next_process(tmp_path: Path) -> None:
    slots = Progress(tmp_path, "ins_a")
    slot, other = slots.take(), slots.take()
    assert slot is not None
    assert other is not None
    slots.store(slot, 42)
    slots.store(other, 7)
    slots.give(other)
    slots.close()
    (left,) = LeftBehind.all(tmp_path)
    assert (left.instance_id, left.counts()[slot], left.counts()[other]) == ("ins_a", 42, 0)
    left.close(settled=True)
    assert list(tmp_path.iterdir()) == []
