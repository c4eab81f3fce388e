"""Fixtures: databases of accounts, as each test's own, on SQLite and PostgreSQL. Making the schema takes a second, so
it is made once: a file is copied, a server's database emptied.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy
from support import postgres

from undiced.account import schema
from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.database import Database
from undiced.account.tables import METADATA

COUNT = itertools.count()  # of databases that this process makes, in whichever folder's fixtures
PEPPER = "pepper-of-the-tests-" + "x" * 32
OPERATOR = Actor.operator("tests")


class Server:
    """Makes databases on the server and drops them: each is 8 MB."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        url = self.url("postgres").replace(":", "+psycopg:", 1)
        self._engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def make(self) -> str:
        name = f"t{os.getpid()}_{next(COUNT)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server."""
    try:
        folder = postgres.started()
    except LookupError as missing:
        if postgres.REQUIRED in os.environ:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    made = Server(folder)
    yield made
    made.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema and nothing else."""
    place = tmp_path_factory.mktemp("template") / "accounts.db"
    _fill(str(place))
    return place


@pytest.fixture(scope="session")
def server_emptied(server: Server) -> Iterator[Callable[[], str]]:
    """Empties a PostgreSQL database that has the schema; returns its URL."""
    url = server.url(server.make())
    _fill(url)
    engine = sqlalchemy.create_engine(url.replace(":", "+psycopg:", 1))

    def emptied() -> str:
        clear = "; ".join(
            f"DELETE FROM {table}" for table in METADATA.tables
        )  # faster than TRUNCATE, as they are small
        with engine.begin() as connection:  # the role of a replica runs no triggers, which would keep the audit
            connection.exec_driver_sql(f"SET LOCAL session_replication_role = replica; {clear}")
            connection.exec_driver_sql("SELECT setval(pg_get_serial_sequence('audit', 'seq'), 1, false)")
            connection.exec_driver_sql("INSERT INTO facts VALUES ('changes', '0')")
        return url

    yield emptied
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each test is run on both."""
    return str(request.param)


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if dialect == "sqlite":
        yield str(tmp_path / "accounts.db")
    else:
        server = request.getfixturevalue("server")
        name = server.make()
        yield server.url(name)
        server.drop(name)


@pytest.fixture
def url(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> str:
    """A database with the schema and nothing else."""
    if dialect == "sqlite":
        return str(shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "accounts.db"))
    return str(request.getfixturevalue("server_emptied")())


@pytest.fixture
def pepper(monkeypatch: pytest.MonkeyPatch) -> str:
    """The pepper of the tests, in the environment."""
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    return PEPPER


@pytest.fixture
def accounts(url: str, pepper: str) -> Iterator[Accounts]:
    """Accounts without any organization."""
    opened = Accounts(url)
    yield opened
    opened.close()


def _fill(url: str) -> None:
    database = Database(url)
    schema.upgrade(database)
    database.close()
