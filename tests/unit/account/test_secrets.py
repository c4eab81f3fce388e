"""No secret anywhere but in its holder's hand: not in the database, nor in logs, errors or what they are shown with."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest
from support.databases import OPERATOR, PEPPER

from undiced.account.accounts import Accounts
from undiced.account.backup import backup
from undiced.account.errors import DatabaseError
from undiced.account.keys import KeyOrder
from undiced.account.secret_text import SecretText


@pytest.fixture
def used(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> tuple[Accounts, list[SecretText]]:
    """Accounts in which everything happened that handles a secret, and those secrets."""
    for logger in ("", "sqlalchemy", "psycopg", "alembic"):
        caplog.set_level(logging.DEBUG, logger)
    accounts.organizations.create(OPERATOR, "acme")
    key, first = accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "default"))
    _, second = accounts.keys.rotate(OPERATOR, key.id, overlap_s=60)
    _, managing = accounts.keys.create(OPERATOR, KeyOrder("management", "acme"))
    _, invited = accounts.invitations.create(OPERATOR, "acme", "a@b.c", "billing")
    accounts.invitations.accept(invited.reveal())
    for text in (first, second, managing):
        accounts.keyring.keep(text.id, accounts.keyring.fetch(text.id))
        accounts.keyring.judge(text, "management" if text is managing else "inference")
    accounts.keyring.write_used(accounts.keyring.used())
    return accounts, [first, second, managing, invited]


def needles(texts: list[SecretText]) -> list[bytes]:
    return [PEPPER.encode(), *(text.reveal()[16:59].encode() for text in texts)]


def see_none(haystack: bytes, texts: list[SecretText]) -> None:
    assert len(haystack) > 100
    for needle in needles(texts):
        assert needle not in haystack
        assert needle[4:-4] not in haystack


def test_files_of_the_database_and_its_backup_hold_none(
    used: tuple[Accounts, list[SecretText]], dialect: str, tmp_path: Path
) -> None:
    accounts, texts = used
    if dialect == "postgresql":
        with accounts.database.read() as transaction:
            tables = transaction.connection.exec_driver_sql(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            ).scalars()
            rows = [
                transaction.connection.exec_driver_sql(f"SELECT t::text FROM {table} t").scalars().all()
                for table in tables
            ]
        see_none(repr(rows).encode(), texts)
        return
    backup(accounts.database, tmp_path / "copy.db")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["accounts.db", "accounts.db-shm", "accounts.db-wal", "copy.db"]
    for file in files:
        see_none(file.read_bytes(), texts)


def test_logs_at_their_most_talkative_hold_none(
    used: tuple[Accounts, list[SecretText]], caplog: pytest.LogCaptureFixture
) -> None:
    accounts, texts = used
    again = Accounts(accounts.database.url.render_as_string(hide_password=False))  # asks for its level when it is made
    again.keys.rotate(OPERATOR, texts[1].id)
    again.close()
    said = "\n".join(f"{record.getMessage()} {record.args!r}" for record in caplog.records)
    assert "INSERT INTO keys" in said
    see_none(said.encode(), texts)


def test_errors_and_what_stands_around_them_hold_none(
    used: tuple[Accounts, list[SecretText]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the values of variables at every level, as some tools show them."""
    accounts, texts = used
    shown = ""
    monkeypatch.setenv("UNDICED_PEPPER", "y" * 40)
    with pytest.raises(DatabaseError) as error:
        Accounts(accounts.database.url.render_as_string(hide_password=False))
    shown += told(error.value)
    assert "y" * 40 not in shown
    accounts.database.close()
    monkeypatch.setattr(type(accounts.database.engine), "connect", broken)
    for call in (
        lambda: accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "default")),
        lambda: accounts.keyring.fetch(texts[0].id),
        lambda: accounts.keyring.judge(SecretText.new("uk"), "inference"),
        lambda: accounts.invitations.create(OPERATOR, "acme", "b@b.c", "billing"),
        lambda: Accounts(accounts.database.url.render_as_string()),
    ):
        with pytest.raises(Exception) as error:
            call()
        shown += told(error.value)
    see_none(shown.encode(), texts)


def told(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def broken(*_: object) -> None:
    raise DatabaseError("It is broken.", remedy="Mend it.")
