"""Backups: whole and of one moment, while others write; or nothing."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from support.databases import OPERATOR

from undiced.account.accounts import Accounts
from undiced.account.backup import backup
from undiced.account.database import Database
from undiced.account.errors import DatabaseError
from undiced.account.keys import KeyOrder
from undiced.core.errors import CannotWriteError, InvalidRequestError


@pytest.fixture
def acme(sqlite_template: Path, tmp_path: Path, pepper: str) -> Accounts:
    """Accounts in a file with a name that no URL takes as it is."""
    accounts = Accounts(str(shutil.copy(sqlite_template, tmp_path / "a b?c#d%41.db")))
    accounts.organizations.create(OPERATOR, "acme")
    return accounts


def test_a_copy_is_made_while_others_write_and_opens_as_accounts(acme: Accounts, tmp_path: Path) -> None:
    with acme.database.write() as transaction:  # large enough that copying takes several steps
        transaction.connection.execute(text("INSERT INTO facts VALUES ('filler', hex(zeroblob(4000000)))"))
    done, steps = threading.Event(), list[float]()
    rounds = 0

    def write() -> None:
        nonlocal rounds
        while not done.is_set():
            acme.organizations.create(OPERATOR, f"o{rounds}")  # two rows of the audit each
            rounds += 1

    writer = threading.Thread(target=write)
    writer.start()
    place = tmp_path / "copy.db"
    size = backup(acme.database, place, steps.append)
    done.set()
    writer.join(30)
    assert size == place.stat().st_size > 8_000_000
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert steps == sorted(steps)
    assert (len(steps) > 5, steps[-1]) == (True, 1.0)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith((".copy", "copy.db-"))]
    copied = Accounts(str(place))
    names = [org.name for org in copied.organizations.list(OPERATOR)]
    assert len(copied.audit.list(OPERATOR, limit=1000)) == min(2 * len(names), 1000)  # of one moment
    assert len(names) <= rounds + 1
    copied.keys.create(OPERATOR, KeyOrder("inference", "acme", "default"))
    copied.close()
    acme.close()


def test_what_can_not_be_written_leaves_nothing(acme: Accounts, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("kept")
    with pytest.raises(InvalidRequestError, match=r"There is a file .*there already. Name another one"):
        backup(acme.database, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "kept"
    with pytest.raises(CannotWriteError, match=r"Cannot write .*: No such file or directory. Name another file"):
        backup(acme.database, tmp_path / "none" / "copy.db")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(acme.database, tmp_path / "copy.db", interrupt)
    assert not [file for file in tmp_path.iterdir() if "copy" in file.name]
    acme.close()


def test_a_server_is_backed_up_by_its_own_tools(tmp_path: Path) -> None:
    database = Database("postgresql://ada:hunter2@db.example/accounts?sslmode=require&password=hunter2")
    with pytest.raises(DatabaseError) as error:
        backup(database, tmp_path / "f")
    assert "pg_dump --format=custom" in error.value.remedy
    assert "postgresql://ada@db.example/accounts?sslmode=require" in error.value.remedy
    assert "hunter2" not in str(error.value)


def test_a_copy_has_the_pages_of_the_original(acme: Accounts, tmp_path: Path) -> None:
    backup(acme.database, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
        words = "SELECT name, sql FROM sqlite_schema ORDER BY name"  # triggers are part of it
        with acme.database.read() as transaction:
            assert copy.execute(words).fetchall() == list(map(tuple, transaction.connection.exec_driver_sql(words)))
    acme.close()
