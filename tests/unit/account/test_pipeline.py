"""The pipeline to PostgreSQL: what it takes, and what it makes of connections that are not what they were."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import BigInteger, Text, bindparam, text
from support.databases import Server

from undiced.account import pipeline
from undiced.account.database import Database
from undiced.account.errors import DatabaseAwayError, DatabaseError
from undiced.account.statements import Statement

_NOTE = text("INSERT INTO facts VALUES (:name, :value)").bindparams(
    *(bindparam(n, type_=Text()) for n in ("name", "value"))
)
_NOTED = text("SELECT name, value FROM facts WHERE name = 'a'").columns(name=Text(), value=Text())
_PID = text("SELECT pg_backend_pid() AS pid").columns(pid=BigInteger())
NOTE, NOTED, PID = Statement(_NOTE), Statement(_NOTED).of(), Statement(_PID).of()


@pytest.fixture
def database(server: Server, server_emptied: Callable[[], str]) -> Iterator[Database]:
    """One on PostgreSQL, with our tables."""
    made = Database(server_emptied())
    yield made
    made.close()


def noted(database: Database) -> list[dict[str, object]]:
    with database.read() as transaction:
        return [dict(row) for row in transaction.run(NOTED)[0]]


def test_a_statement_is_called_after_its_words_so_that_a_pooler_runs_no_other_one_under_its_name() -> None:
    one, again, other = (Statement(text(words)).words("postgresql") for words in ("SELECT 1", "SELECT 1", "SELECT 2"))
    assert one.name == again.name
    assert one.name != other.name
    assert len(one.name) < 64  # bytes that PostgreSQL keeps of a name


def test_a_connection_that_forgot_its_statements_is_replaced(database: Database) -> None:
    noted(database)
    with database.read() as transaction:
        transaction.connection.exec_driver_sql("DEALLOCATE ALL")
    assert noted(database) == []


def test_who_finds_its_statements_gone_in_the_midst_of_a_transaction_is_told_to_try_again(database: Database) -> None:
    told = r"does not answer: prepared statement .* does not exist\. Have the pooler in front of it"
    with pytest.raises(DatabaseAwayError, match=told) as error, database.write() as transaction:
        transaction.run(NOTE.of(name="a", value="b"))
        transaction.connection.exec_driver_sql("DEALLOCATE ALL")
        transaction.run(NOTE.of(name="b", value="b"))
    assert error.value.retry_after_s == 1.0
    assert noted(database) == []


def test_a_statement_whose_rows_have_another_form_by_now_fails_once_at_most(database: Database, server: Server) -> None:
    with database.write() as transaction:
        transaction.connection.execute(text("CREATE TABLE changing (name text)"))
    query = Statement(text("SELECT name FROM changing").columns(name=Text())).of()
    try:
        with database.read() as transaction:
            assert transaction.run(query) == [[]]
        with database.write() as transaction:
            transaction.connection.execute(text("ALTER TABLE changing ALTER COLUMN name TYPE varchar(9)"))
        with pytest.raises(DatabaseAwayError, match="cached plan"), database.read() as transaction:
            transaction.run(query)
        with database.read() as transaction:
            assert transaction.run(query) == [[]]
    finally:
        with database.write() as transaction:
            transaction.connection.execute(text("DROP TABLE changing"))


def test_a_text_with_a_nul_is_refused_and_not_cut_there(database: Database) -> None:
    with pytest.raises(database._driver.DataError, match="NUL"), database.write() as transaction:
        transaction.run(NOTE.of(name="a", value="b\0c"))
    assert noted(database) == []


def test_a_transaction_that_failed_and_went_on_is_not_taken_for_committed(database: Database) -> None:
    failing = pytest.raises(database._driver.IntegrityError)
    with pytest.raises(DatabaseError, match="was rolled back") as error, database.write() as transaction, failing:
        transaction.run(NOTE.of(name="a", value="b"), NOTE.of(name="a", value="c"))
    assert error.value.unsure
    assert noted(database) == []


def test_a_server_that_says_nothing_for_long_is_taken_for_gone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_SILENT_S", 0.2)
    with pytest.raises(DatabaseAwayError, match="no word for"), database.read() as transaction:
        ((row,),) = transaction.run(PID)
        os.kill(row["pid"], signal.SIGSTOP)
        try:
            transaction.run(NOTED)
        finally:
            os.kill(row["pid"], signal.SIGCONT)
    assert noted(database) == []


def test_a_trip_with_nothing_to_ask_is_one(database: Database) -> None:
    with database.write() as transaction:
        assert transaction.run() == []
