"""A backup of the accounts' database while it is in use. Knows no tables.

SQLite copies itself page by page; PostgreSQL has tools of its own, which are named instead. The pepper is not part of
it: together they would be what the pepper keeps apart.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from undiced.account.database import Database
from undiced.account.errors import DatabaseError
from undiced.core.errors import CannotWriteError, InvalidRequestError

_PAGES = 256


def backup(database: Database, place: Path, told: Callable[[float], None] = lambda _: None) -> int:
    """Write a copy, whole or not at all; returns its bytes.

    Args:
        told: gets the share that is written.

    Raises:
        InvalidRequestError: there is a file of that name. CannotWriteError: it can't be written.
        DatabaseError: the database is no file.
    """
    source = database.file
    if source is None:
        raise DatabaseError(
            "A PostgreSQL database is backed up by its own tools.",
            remedy=f"Run: pg_dump --format=custom --file={place} {_for_tools(database)}.",
        )
    if place.exists():
        raise InvalidRequestError(f"There is a file {place} already.", remedy="Name another one.", param="file")
    scratch = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, isolation_level=None)) as read,
            closing(sqlite3.connect(scratch)) as copy,
        ):
            read.execute("BEGIN")  # one state for all pages: what is written meanwhile does not make it begin again
            read.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            read.backup(copy, pages=_PAGES, progress=lambda _, left, all_: told(1 - left / max(all_, 1)))
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
        os.link(scratch, place)
    except FileExistsError:
        raise InvalidRequestError(
            f"There is a file {place} already.", remedy="Name another one.", param="file"
        ) from None
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise CannotWriteError(f"Cannot write {place}: {why}.", remedy="Name another file.") from None
    finally:
        scratch.unlink(missing_ok=True)
    return place.stat().st_size


def _for_tools(database: Database) -> str:
    """The URL of a server as its own tools take it, without passwords, which they ask for."""
    bare = database.url.set(drivername="postgresql").difference_update_query(["password", "sslpassword"])
    return bare._replace(password=None).render_as_string()
