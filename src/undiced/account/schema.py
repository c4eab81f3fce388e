"""The schema's version: whether a database has ours, and how it gets it. Knows alembic, and no table of ours but its
names.

`HEAD` is the newest revision, written here too so that a start does not have to load alembic; a test holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import inspect

from undiced.account.database import Database
from undiced.account.errors import DatabaseError

HEAD = "0002"
_LOCK = 0x756E6469636564  # any number that no other program takes
_FOLDER = Path(__file__).parent / "migrations"


def revision(database: Database) -> str | None:
    """The revision that a database has; None for an empty one.

    Raises:
        DatabaseError: it has tables, but they are not ours, or not all of ours.
    """
    with database.read() as transaction:
        tables = set(inspect(transaction.connection).get_table_names())
        if not tables:
            return None
        if "alembic_version" not in tables or tables & {"organizations", "facts"} != {"organizations", "facts"}:
            raise DatabaseError(
                f"{database.shown} holds tables of another program.", remedy="Give a database of its own with --db."
            )
        found = transaction.connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    if len(found) != 1:
        remedy = "Restore a backup, or give a new database with --db."
        raise DatabaseError(f"{database.shown} does not say which schema it has.", remedy=remedy)
    return str(found[0])


def present(database: Database) -> str:
    """The revision of a database that has to have accounts.

    Raises:
        DatabaseError: it has none, or holds another program's tables.
    """
    missing = database.file is not None and not database.file.exists()  # asking for it would make it
    if not missing and (found := revision(database)) is not None:
        return found
    remedy = "Make the first organization: undiced org create NAME; or give another database with --db."
    raise DatabaseError(f"There are no accounts in {database.shown} yet.", remedy=remedy)


def require(database: Database, *, create: bool = True) -> None:
    """See that a database has our schema; `create`: an empty one gets it.

    Raises:
        DatabaseError: its schema is older or newer; there is none, and none is to be made.
    """
    found = revision(database) if create else present(database)
    if found is None:
        upgrade(database)
    elif found in known() - {HEAD}:
        remedy = "Run: undiced db upgrade (after a backup: undiced db backup FILE)."
        raise DatabaseError(f"{database.shown} has an older schema ({found}; this is {HEAD}).", remedy=remedy)
    elif found != HEAD:
        remedy = "Install the version of undiced that wrote it, or a newer one."
        raise DatabaseError(f"{database.shown} has a newer schema ({found}; this is {HEAD}).", remedy=remedy)


def known() -> frozenset[str]:
    """The revisions that this version can upgrade from, and the newest."""
    return frozenset(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def upgrade(database: Database, told: Callable[[str], None] = lambda _: None) -> str | None:
    """Bring a database to the newest revision, in one transaction. Returns the revision that it had.

    Args:
        told: gets a line per step.

    Raises:
        DatabaseError: it is newer, or of another program.
    """
    from alembic import command
    from alembic.config import Config

    found = revision(database)
    if found is not None and found not in known():
        require(database)
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    with database.write() as transaction:
        if (
            database.dialect == "postgresql"
        ):  # two processes that find an empty database make its tables one after another
            transaction.connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        config.attributes["connection"], config.attributes["told"] = transaction.connection, told
        command.upgrade(config, "head")
    return found
