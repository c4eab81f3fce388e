"""Commands of accounts on databases that are damaged, locked, of another version, of another program, or none; and what
an interruption leaves.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.account_commands import Typed, rows, typing

from undiced.account.schema import HEAD


@pytest.mark.parametrize(
    "wrong", ["mysql://x/y", "", "postgresql://u:secret@127.0.0.1:1/x", "/nowhere/accounts.db", "/tmp"]
)
def test_a_database_that_is_none_is_one_line_with_a_remedy(typed: Typed, wrong: str) -> None:
    for line in ("key list", "org create acme", "db check", "db upgrade", "db backup copy.db"):
        said = typed(f"{line} --db '{wrong}'")
        assert said.status == 1 and said.err.startswith("error: ") and said.err.count("\n") == 1, said
        assert "secret" not in said.err


def test_only_a_command_that_makes_accounts_makes_a_database(typed: Typed, tmp_path: Path) -> None:
    for line in ("org list", "key create", "audit", "db check", "db backup copy.db"):
        said = typed(f"{line} --db {tmp_path}/new.db")
        assert said.status == 1 and "undiced org create NAME" in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accounts.db"]
    assert typed(f"org create acme --db {tmp_path}/new.db").status == 0


def test_another_program_s_file_is_left_alone(typed: Typed, tmp_path: Path) -> None:
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("Dear diary" * 100)
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE birds (name)")
    before = text.read_bytes(), rows(other)
    for line in ("key list", "org create acme", "db check", "db upgrade", "db backup copy.db"):
        for file in (text, other):
            said = typed(f"{line} --db {file}")
            assert said.status == 1 and "--db" in said.err and said.err.count("\n") == 1, said
    assert (text.read_bytes(), rows(other)) == before


def test_a_database_of_another_version_is_told_and_an_older_one_upgraded(
    acme: Typed, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undiced.account.schema.HEAD", "9998")
    monkeypatch.setattr("undiced.account.schema.known", lambda: frozenset((HEAD, "9998")))
    said = acme("key list")
    assert said.status == 1 and f"older schema ({HEAD}" in said.err and "undiced db upgrade" in said.err
    checked = acme("db check")
    assert (
        checked.status == 1 and "older schema" in checked.out and "undiced db upgrade" in " ".join(checked.out.split())
    )
    monkeypatch.undo()
    with closing(sqlite3.connect(place)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    before = rows(place)
    for line in ("key list", "org create beta", "db upgrade"):
        said = acme(f"{line} --db {place}")
        assert said.status == 1 and "newer schema (9999" in said.err and "Install" in said.err
    assert rows(place) == before


def test_a_wrong_pepper_is_told_and_nothing_is_done(acme: Typed, place: Path, tmp_path: Path) -> None:
    pepper, other = Path(f"{place}.pepper"), tmp_path / "other"
    other.write_text("x" * 64)
    other.chmod(0o600)
    before = rows(place)
    for line in ("key create", "org list"):
        said = acme(f"{line} --pepper-file {other}")
        assert said.status == 1 and "is not the one of the keys" in said.err and "UNDICED_PEPPER" in said.err
    checked = acme(f"db check --pepper-file {other} --json")
    assert checked.status == 1 and checked.json["fine"] is False
    assert [each["what"] for each in checked.json["findings"] if each["remedy"]] == ["pepper"]
    assert acme("db check --json").json["counts"]["organizations"] == 1
    pepper.chmod(0o644)
    assert "chmod 600" in acme("key list").err
    pepper.unlink()
    said = acme("key list")
    assert said.status == 1 and "is not there" in said.err and not pepper.exists() and rows(place) == before


@contextmanager
def powerless() -> Iterator[None]:
    """As somebody who may not write what others own."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_database_that_may_not_be_written_or_read_is_told(typed: Typed, place: Path) -> None:
    with TemporaryDirectory(dir="/tmp") as name:
        file, folder = Path(name) / "accounts.db", Path(name)
        shutil.copy(place, file)
        for line in ("org create acme", "key list", "db check", "db upgrade"):  # what they import can be read now
            assert typed(f"{line} --db {file}").status == 0
        pepper, before = Path(f"{file}.pepper"), file.read_bytes()
        pepper.chmod(0o400), file.chmod(0o444), folder.chmod(0o555)
        if os.geteuid() == 0:
            os.chown(pepper, 65534, 65534)
        for line in ("key create", "org create beta", "db upgrade"):
            with powerless():
                said = typed(f"{line} --db {file}")
            assert said.status == 1 and "can't be written. Give this user the right" in said.err, (line, said)
            assert said.err.count("\n") == 1 and said.out == ""
        file.chmod(0o000)
        with powerless():
            said = typed(f"key list --db {file}")
        assert said.status == 1 and "can't be opened" in said.err and "--db" in said.err
        folder.chmod(0o755), file.chmod(0o600)
        assert file.read_bytes() == before


def test_a_lock_that_another_holds_is_told(acme: Typed, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undiced.account.database._BUSY_MS", 20)
    with closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = acme("key create")
        assert said.status == 1 and "holds a lock" in said.err and said.err.count("\n") == 1 and said.out == ""
        assert acme("key list").status == 0, "who reads does not wait"
    assert acme("key create").status == 0


def test_a_damaged_database_is_told_by_its_check(acme: Typed, place: Path) -> None:
    for number in range(30):
        acme(f"project create p{number}") if number < 2 else None
    with closing(sqlite3.connect(place)) as database:
        root = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'projects'").fetchone()[0]
        size = database.execute("PRAGMA page_size").fetchone()[0]
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with place.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x0d" + bytes(6) + b"\xff" * 40)
    checked = acme("db check")
    assert checked.status == 1 and "Restore a copy" in " ".join((checked.out + checked.err).split())
    assert acme("db check --json").status == 1


def test_a_row_that_refers_to_nothing_is_found(acme: Typed, place: Path) -> None:
    with closing(sqlite3.connect(place)) as database:
        database.execute("INSERT INTO projects (id, org_id, name, created) VALUES ('prj_x', 'org_x', 'lost', 1)")
        database.commit()
    checked = acme("db check --json")
    assert checked.status == 1
    assert [each["what"] for each in checked.json["findings"] if each["remedy"]] == ["references"]


def test_a_backup_is_a_whole_database_and_an_interrupted_one_is_none(
    acme: Typed, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    with monkeypatch.context() as patch:
        patch.setattr("undiced.cli.terminal.Bar.share", interrupted)
        assert acme(f"db backup {copy}").status == 130
    assert not any("copy" in path.name for path in tmp_path.iterdir())
    made = acme(f"db backup {copy} --json").json
    assert made["bytes"] == copy.stat().st_size and rows(copy) == rows(place)
    assert acme(f"db check --db {copy} --pepper-file {place}.pepper").status == 0
    again = acme(f"db backup {copy}")
    assert again.status == 2 and "Name another one" in again.err
    assert acme(f"db backup {tmp_path}/no/folder/copy.db").status == 1


def test_an_interrupted_upgrade_changes_nothing(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = tmp_path / "new.db"
    with monkeypatch.context() as patch:
        patch.setattr("undiced.cli.terminal.Bar.share", interrupted)
        assert typed(f"db upgrade --db {new}").status == 130
    assert rows(new) == ["BEGIN TRANSACTION;", "COMMIT;"]
    assert "it was empty" in typed(f"db upgrade --db {new}").out
    assert typed(f"db upgrade --db {new} --json").json["before"] == HEAD


def test_an_interrupted_check_ends(acme: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undiced.account.check._STEPS", 1)
    asked: list[str] = []

    def share(_: object, done: float, what: str) -> None:
        asked.append(what)
        if not what:  # within SQLite
            raise KeyboardInterrupt

    monkeypatch.setattr("undiced.cli.terminal.Bar.share", share)
    assert acme("db check").status == 130 and asked == ["Checking pages", ""]


def interrupted(*_: object) -> None:
    """Somebody presses Ctrl-C."""
    raise KeyboardInterrupt


def test_commands_work_on_both_databases(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    typed = typing(monkeypatch, capsys, url)
    monkeypatch.setenv("UNDICED_PEPPER_FILE", str(tmp_path / "pepper"))
    key = [typed(line) for line in ("org create acme", "key create --name ci")][1].out.strip()
    typed("key rotate ci --overlap 1h"), typed(f"key revoke {key} --yes")
    assert [each["action"] for each in typed("audit --json").json] == [
        "key.revoke", "key.create", "key.rotate", "key.create", "project.create", "org.create"
    ]  # fmt: skip
    checked = typed("db check --json").json
    assert checked["fine"] and checked["counts"]["keys"] == 2
    copied = typed(f"db backup {tmp_path}/copy.db")
    assert copied.status == 0 or "pg_dump" in copied.err
