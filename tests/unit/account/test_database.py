"""The database: how it is named, and what is said when it can't be used: one line with a remedy, and no password."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from support.at_once import at_once
from support.databases import OPERATOR, Server

from undiced.account import database as module
from undiced.account.accounts import Accounts
from undiced.account.database import Database
from undiced.account.errors import DatabaseAwayError, DatabaseError
from undiced.account.keys import KeyOrder

PASSWORD = "hunter2-hunter2"


def opened(url: str) -> str:
    """What is said when accounts can't be opened."""
    with pytest.raises((DatabaseError, DatabaseAwayError)) as error:
        Accounts(url).close()
    told = str(error.value)
    assert "\n" not in told
    assert error.value.remedy.endswith(".")
    assert PASSWORD not in told + repr(error.value.__context__) + repr(error.value.__cause__)
    return told


@pytest.mark.parametrize(
    "url",
    [
        "", "  ", "mysql://a:hunter2-hunter2@b/c", "postgresql://a:hunter2-hunter2@b:port/c",
        "sqlite://", "sqlite:///:memory:", "://", "x://y", "postgresql+asyncpg://a:hunter2-hunter2@b/c",
    ],
)  # fmt: skip
def test_what_is_no_database_of_ours_is_refused_with_the_forms(url: str) -> None:
    assert "Give a file, as accounts.db, or postgresql://USER@HOST/NAME." in opened(url)


def test_a_path_may_hold_anything(tmp_path: Path, pepper: str) -> None:
    for name in ("a b?c#d%41.db", "ü.db", "-x.db", "sqlite:x.db"):
        accounts = Accounts(str(tmp_path / name))
        accounts.organizations.create(OPERATOR, "acme")
        accounts.close()
        assert (tmp_path / name).stat().st_size > 0


def test_a_new_file_is_for_its_owner_alone_and_durable(tmp_path: Path, pepper: str) -> None:
    accounts = Accounts(str(tmp_path / "a.db"))
    accounts.organizations.create(OPERATOR, "acme")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["a.db", "a.db-shm", "a.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    with accounts.database.read() as transaction:
        told = {
            name: transaction.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    accounts.close()


def test_places_where_no_file_can_be(tmp_path: Path, pepper: str) -> None:
    assert "has no folder to be in. Give another file with --db." in opened(str(tmp_path / "none" / "a.db"))
    assert "is a folder." in opened(str(tmp_path))
    (tmp_path / "text.db").write_text("hello world " * 1000)
    assert "is no SQLite database." in opened(str(tmp_path / "text.db"))


def test_a_file_that_may_not_be_written(sqlite_template: Path, pepper: str) -> None:
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(shutil.copy(sqlite_template, folder))
        Accounts(str(place)).close()
        place.chmod(0o444)
        Path(folder).chmod(0o555)
        try:
            if root:
                os.seteuid(65534)
            assert "can't be written. Give this user the right to write it, and the folder" in opened(str(place))
        finally:
            if root:
                os.seteuid(0)
            Path(folder).chmod(0o755)


def test_a_full_disk(tmp_path: Path, pepper: str) -> None:
    accounts = Accounts(str(tmp_path / "a.db"))
    accounts.organizations.create(OPERATOR, "acme")
    with accounts.database.read() as transaction:
        pages = transaction.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with accounts.database.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # of this connection, which the pool gives next
    with pytest.raises(DatabaseError, match=r"The disk of .* is full. Make room on it."):
        for _ in range(200):
            accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "default"))
    accounts.close()


def test_a_lock_that_another_process_holds_too_long(
    accounts: Accounts, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUSY_MS", 100)
    accounts.organizations.create(OPERATOR, "acme")
    other = Database(accounts.database.url.render_as_string(hide_password=False))
    with other.write() as transaction:
        transaction.connection.execute(text("UPDATE organizations SET created = created"))
        waiting = Database(accounts.database.url.render_as_string(hide_password=False))
        told = pytest.raises(DatabaseAwayError, match=r"Another process holds a lock of .* Try again.")
        with told as error, waiting.write() as mine:
            mine.connection.execute(text("UPDATE organizations SET created = created + 1"))
        assert (error.value.status, error.value.retry_after_s) == (503, 1.0)
        with waiting.read() as mine:  # who only reads is not held up
            assert mine.connection.execute(text("SELECT count(*) FROM organizations")).scalar_one() == 1
        waiting.close()
    other.close()


def test_who_waits_for_a_lock_gives_up_when_its_process_ends(tmp_path: Path, pepper: str) -> None:
    accounts = Accounts(str(tmp_path / "a.db"))
    accounts.organizations.create(OPERATOR, "acme")
    other = Database(str(tmp_path / "a.db"))
    change = text("UPDATE organizations SET created = created")

    def write() -> None:
        with accounts.database.write() as mine:
            mine.connection.execute(change)

    with other.write() as transaction, ThreadPoolExecutor(1) as threads:
        transaction.connection.execute(change)
        waiting = threads.submit(write)
        time.sleep(0.4)
        accounts.database.hurry()
        began = time.monotonic()
        for outcome in (waiting, threads.submit(write)):
            assert isinstance(outcome.exception(5), DatabaseAwayError)
        assert time.monotonic() - began < 2
    write()
    other.close()
    accounts.close()


def test_a_write_that_fails_leaves_nothing(accounts: Accounts) -> None:
    with pytest.raises(ZeroDivisionError), accounts.database.write() as transaction:
        transaction.connection.execute(text("INSERT INTO facts VALUES ('a', 'b')"))
        raise ZeroDivisionError
    with accounts.database.read() as transaction:
        assert transaction.connection.execute(text("SELECT count(*) FROM facts WHERE name = 'a'")).scalar_one() == 0


def test_a_read_sees_one_state_and_can_not_write(accounts: Accounts, dialect: str) -> None:
    with accounts.database.read() as transaction:
        count = text("SELECT count(*) FROM organizations")
        assert transaction.connection.execute(count).scalar_one() == 0
        accounts.organizations.create(OPERATOR, "acme")
        assert transaction.connection.execute(count).scalar_one() == 0
    if dialect == "postgresql":
        with pytest.raises(DatabaseError, match="can't be written"), accounts.database.read() as transaction:
            transaction.connection.execute(text("DELETE FROM organizations"))


def test_the_clock_is_the_databases_own(accounts: Accounts) -> None:
    with accounts.database.read() as one, accounts.database.read() as two:
        assert 0 <= two.now_ms - one.now_ms < 5000
        assert one.now == one.now_ms // 1000
        assert 1_600_000_000 < one.now < 4_000_000_000


def test_many_threads_wait_for_a_connection(accounts: Accounts) -> None:
    def look() -> int:
        with accounts.database.read() as transaction:
            return transaction.now

    assert all(isinstance(answer, int) for answer in at_once([look] * 30))


def test_who_finds_no_connection_is_told_to_come_again(accounts: Accounts) -> None:
    accounts.database.engine.pool._timeout = 0.05  # type: ignore[attr-defined]

    def hold(depth: int) -> None:
        with accounts.database.read():
            if depth:
                hold(depth - 1)

    with pytest.raises(DatabaseAwayError, match=r"all connections are in use. Try again."):
        hold(20)


def test_a_server_that_is_away() -> None:
    url = f"postgresql://ada:{PASSWORD}@127.0.0.1:1/accounts?sslpassword={PASSWORD}"
    told = opened(url)
    assert told.startswith("postgresql://ada:***@127.0.0.1:1/accounts does not answer: ")
    assert told.endswith(" See that the server runs and that --db names it.")


def test_a_server_that_refuses(server: Server) -> None:
    assert "does not answer" in opened(server.url("nowhere"))
    assert "role" in opened(server.url("postgres").replace("postgres@", f"nobody:{PASSWORD}@"))


def test_a_user_who_may_make_no_tables(server: Server) -> None:
    server.run("CREATE ROLE reader LOGIN")
    name = server.make()
    try:
        told = opened(server.url(name).replace("postgres@", "reader@"))
        assert "can't be written. Give this user the right to write it" in told
    finally:
        server.drop(name)
        server.run("DROP ROLE reader")


def test_a_server_that_comes_back_is_used_again(server: Server, server_emptied: Callable[[], str], pepper: str) -> None:
    accounts = Accounts(server_emptied())
    accounts.organizations.create(OPERATOR, "acme")
    with pytest.raises(DatabaseAwayError, match="does not answer"), accounts.database.read() as transaction:
        number = transaction.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        server.run(f"SELECT pg_terminate_backend({number})")
        transaction.connection.execute(text("SELECT 1"))
    assert [org.name for org in accounts.organizations.list(OPERATOR)] == ["acme"]
    accounts.close()


def test_connections_that_were_lost_while_nobody_used_them_are_replaced(
    server: Server, server_emptied: Callable[[], str], pepper: str
) -> None:
    accounts = Accounts(server_emptied())
    for write in (True, False):
        with accounts.database.read() as one, accounts.database.read() as other:
            pids = [each.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() for each in (one, other)]
        for pid in pids:
            server.run(f"SELECT pg_terminate_backend({pid})")
        if write:
            accounts.organizations.create(OPERATOR, "acme")
        assert [org.name for org in accounts.organizations.list(OPERATOR)] == ["acme"]
    accounts.close()


def test_two_processes_write_one_file_in_turns(url: str, pepper: str) -> None:
    accounts, others = Accounts(url), Accounts(url)
    calls = [partial(each.organizations.create, OPERATOR, f"o{number}") for number in range(4) for each in (accounts,)]
    calls += [partial(others.organizations.create, OPERATOR, f"p{number}") for number in range(4)]
    assert not [answer for answer in at_once(calls) if isinstance(answer, Exception)]
    assert len(accounts.organizations.list(OPERATOR)) == 8
    accounts.close()
    others.close()


def test_audit_rows_stay_as_they_are(accounts: Accounts, dialect: str) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    before = accounts.audit.list(OPERATOR)
    statements = ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "DELETE FROM audit WHERE seq = 1"]
    if dialect == "postgresql":
        statements += ["TRUNCATE audit", "TRUNCATE organizations, audit CASCADE"]
    else:
        statements += [
            "REPLACE INTO audit (seq, at, actor, action, target, request_id) VALUES (1, 0, 'x', 'x', 'x', 'x')"
        ]
    for statement in statements:
        kept = pytest.raises((IntegrityError, DatabaseError), match="rows of audit are kept as they are")
        with kept, accounts.database.write() as transaction:
            transaction.connection.execute(text(statement))
    assert accounts.audit.list(OPERATOR) == before


def test_the_database_itself_keeps_organizations_apart(accounts: Accounts) -> None:
    one, two = (accounts.organizations.create(OPERATOR, name) for name in ("acme", "globex"))
    foreign = accounts.projects.show(OPERATOR, "globex", "default")
    person = accounts.members.create(OPERATOR, "globex", "a@b.c", "billing")
    key, _ = accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "default"))
    for statement in (
        f"UPDATE keys SET project_id = '{foreign.id}' WHERE id = '{key.id}'",
        f"UPDATE keys SET member_id = '{person.id}' WHERE id = '{key.id}'",
        f"UPDATE keys SET org_id = '{two.id}' WHERE id = '{key.id}'",
        f"INSERT INTO grants VALUES ('{person.id}', '{one.id}', 'billing', NULL)",
        f"INSERT INTO grants VALUES ('{person.id}', '{two.id}', 'member', NULL)",
        f"INSERT INTO grants VALUES ('{person.id}', '{two.id}', 'root', NULL)",
        f"INSERT INTO grants VALUES ('{person.id}', '{two.id}', 'billing', NULL)",
    ):
        with pytest.raises(IntegrityError), accounts.database.write() as transaction:
            transaction.connection.execute(text(statement))


def test_a_file_of_another_program_is_left_alone(tmp_path: Path, pepper: str) -> None:
    place = tmp_path / "other.db"
    with closing(sqlite3.connect(place)) as other:
        other.execute("CREATE TABLE bookmarks (url)")
        other.commit()
    before = place.read_bytes()
    assert "holds tables of another program. Give a database of its own with --db." in opened(str(place))
    with closing(sqlite3.connect(place)) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("bookmarks",)]
    assert len(before) == place.stat().st_size


def test_a_process_that_leaves_takes_nothing_from_one_with_several_connections(tmp_path: Path, pepper: str) -> None:
    """The last one to leave deletes the log that is written ahead, so each has to know of the others."""
    place = tmp_path / "accounts.db"
    with closing(Accounts(str(place), create=True)) as accounts:
        with accounts.database.read(), accounts.database.read():
            pass  # two connections
        leaves = f"import sqlite3; c = sqlite3.connect({str(place)!r}); c.execute('SELECT 1 FROM facts'); c.close()"
        subprocess.run([sys.executable, "-c", leaves], check=True)
        accounts.organizations.create(OPERATOR, "acme")
        query = "SELECT name FROM organizations"
        asks = f"import sqlite3; print(sqlite3.connect({str(place)!r}).execute({query!r}).fetchall())"
        seen = subprocess.run([sys.executable, "-c", asks], check=True, capture_output=True, text=True)
    assert "acme" in seen.stdout
