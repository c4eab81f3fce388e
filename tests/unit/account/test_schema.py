"""Migrations: what they make is what the tables say, from every revision, with data, whole or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from support.databases import OPERATOR
from support.released_rows import ROWS

from undiced.account import schema
from undiced.account.accounts import Accounts
from undiced.account.database import Database
from undiced.account.errors import DatabaseError
from undiced.account.keys import KeyOrder
from undiced.account.tables import METADATA

FOLDER = Path(schema.__file__).parent / "migrations"


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return ScriptDirectory.from_config(config)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def see_equal(migrated: Database, made: Database) -> None:
    """A database that migrations made is as one that `tables` makes: to alembic, and in the database's own words."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*expression-based index.*")  # below they are compared in words
        with migrated.read() as transaction:
            assert compare_metadata(MigrationContext.configure(transaction.connection), METADATA) == []
        with made.write() as transaction:
            METADATA.create_all(transaction.connection)
        assert described(migrated) == described(made)


def described(database: Database) -> dict[str, object]:
    """All checks and indices, in the database's own words."""
    with database.read() as transaction:
        found = inspect(transaction.connection)
        tables = [name for name in found.get_table_names() if name != "alembic_version"]
        checks = {name: sorted(map(str, found.get_check_constraints(name))) for name in tables}
        words = "sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
        if database.dialect == "postgresql":
            words = "indexdef FROM pg_indexes WHERE schemaname = 'public'"
        indices = transaction.connection.execute(text(f"SELECT {words}")).scalars()
        return {**checks, "": sorted(" ".join(str(index).split()) for index in indices if "alembic" not in str(index))}


@pytest.fixture
def other_url(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Iterator[str]:
    """A second database without tables."""
    if dialect == "sqlite":
        yield str(tmp_path / "other.db")
    else:
        server = request.getfixturevalue("server")
        name = server.make()
        yield server.url(name)
        server.drop(name)


def test_the_newest_revision_is_the_one_that_is_written_down() -> None:
    assert script().get_heads() == [schema.HEAD]
    assert schema.known() == {step.revision for step in script().walk_revisions()}
    assert ROWS.keys() == schema.known(), "rows of each released revision are upgraded by a test"


def test_migrations_make_what_the_tables_say(empty_url: str, other_url: str) -> None:
    with opened(empty_url) as database, opened(other_url) as other:
        told: list[str] = []
        assert schema.upgrade(database, told.append) is None
        assert told[-1] == schema.HEAD
        see_equal(database, other)
        assert schema.revision(database) == schema.HEAD
        assert schema.upgrade(database) == schema.HEAD  # again changes nothing


@pytest.mark.parametrize("revision", ROWS)
def test_rows_of_each_revision_live_on(empty_url: str, revision: str, pepper: str) -> None:
    with opened(empty_url) as database:
        go_to(database, revision)
        with database.write() as transaction:
            for statement in ROWS[revision].split(";\n"):
                transaction.connection.execute(text(statement))
        assert schema.upgrade(database) == revision
    accounts = Accounts(empty_url)
    assert [org.name for org in accounts.organizations.list(OPERATOR)] == ["acme"]
    assert accounts.members.show(OPERATOR, "acme", "ada@example.com").grants[1].role == "org_admin"
    assert [key.name for key in accounts.keys.list(OPERATOR, "acme")] == ["ci"]
    accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "default", "ada@example.com"))
    assert len(accounts.audit.list(OPERATOR, "acme")) == 2
    accounts.close()


def go_to(database: Database, revision: str) -> None:
    """Bring an empty database to some revision, as the version of that time did."""
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with database.write() as transaction:
        config.attributes["connection"], config.attributes["told"] = transaction.connection, lambda _: None
        command.upgrade(config, revision)


def test_an_upgrade_that_is_interrupted_leaves_what_was_there(empty_url: str) -> None:
    with opened(empty_url) as database:

        def stop(_: str) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            schema.upgrade(database, stop)
        assert schema.revision(database) is None
        schema.upgrade(database)
        assert schema.revision(database) == schema.HEAD


DAMAGES = [
    ("UPDATE alembic_version SET version_num = '9999'", "has a newer schema (9999; this is "),
    ("UPDATE alembic_version SET version_num = 'x'", "has a newer schema (x; this is "),
    ("DELETE FROM alembic_version", "does not say which schema it has. Restore a backup"),
    ("DROP TABLE facts", "holds tables of another program. Give a database of its own"),
    ("DROP TABLE alembic_version", "holds tables of another program. Give a database of its own"),
]


def test_a_schema_that_is_not_ours_is_told_with_a_remedy(empty_url: str, pepper: str) -> None:
    with opened(empty_url) as database:
        schema.upgrade(database)
        for damage, told in DAMAGES:
            with database.write() as transaction:
                transaction.connection.execute(text(damage))
            for call in (lambda: Accounts(empty_url), lambda: schema.upgrade(database)):
                with pytest.raises(DatabaseError) as error:
                    call()
                assert told in str(error.value)
                assert error.value.remedy.endswith(".")
                assert error.value.status == 503


def test_an_older_schema_is_told_with_a_remedy(url: str, monkeypatch: pytest.MonkeyPatch, pepper: str) -> None:
    known = schema.known()
    monkeypatch.setattr(schema, "HEAD", "9999")
    monkeypatch.setattr(schema, "known", lambda: known | {"9999"})
    with pytest.raises(DatabaseError, match=r"has an older schema .*; this is 9999\)\. Run: undiced db upgrade"):
        Accounts(url)
