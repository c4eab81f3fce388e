"""A new SQLite file gets its log, however many come to it at once; who waits too long for it is told who holds it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from support.at_once import at_once

from undiced.account import database
from undiced.account.database import Database
from undiced.account.errors import DatabaseAwayError

_FILES, _TOGETHER = 60, 4  # without waiting one file in eight fails


def come(path: Path) -> str:
    with Database(str(path)).read():
        return "read"


def test_all_who_come_to_a_new_file_at_once_get_its_log(tmp_path: Path) -> None:
    for number in range(_FILES):
        path = tmp_path / f"{number}.db"
        assert at_once([partial(come, path)] * _TOGETHER) == ["read"] * _TOGETHER
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_who_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_MS", 200)
    holder = sqlite3.connect(tmp_path / "accounts.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseAwayError, match="holds a lock"), Database(str(tmp_path / "accounts.db")).read():
        pass
    holder.close()
