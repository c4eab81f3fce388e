"""Accounts: an installation's organizations, projects, members, keys and audit behind one door.

Opening it sees that the database has our schema and that the pepper is the one its keys were made with.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from undiced.account import schema
from undiced.account.allowances import Allowances
from undiced.account.audit import Audit
from undiced.account.budgets import Budgets
from undiced.account.credits import Credits
from undiced.account.database import Database
from undiced.account.errors import DatabaseError
from undiced.account.instances import Instances
from undiced.account.invitations import Invitations
from undiced.account.keyring import Keyring
from undiced.account.keys import Keys
from undiced.account.limits import Limits
from undiced.account.members import Members
from undiced.account.organizations import Organizations
from undiced.account.pepper import VARIABLE, fingerprint, load_pepper
from undiced.account.periods import Periods
from undiced.account.prices import Prices
from undiced.account.projects import Projects
from undiced.account.tables import FACTS
from undiced.account.usage import Usage

_PEPPER = "pepper"


class Accounts:
    """See the file's head.

    Args:
        url: as `Database` takes it.
        pepper_file: where the pepper lies, unless the environment has it; beside a SQLite database by default.
        create: an empty database gets the schema, and one that is not there is made.

    Raises:
        DatabaseError: the database or the pepper can't be used. DatabaseAwayError: the database does not answer.
    """

    def __init__(self, url: str, pepper_file: Path | None = None, *, create: bool = True) -> None:
        self.database = Database(url)
        try:
            schema.require(self.database, create=create)
            pepper = fitting_pepper(self.database, pepper_file)
        except BaseException:
            self.database.close()
            raise
        self.organizations = Organizations(self.database)
        self.projects = Projects(self.database)
        self.members = Members(self.database)
        self.invitations = Invitations(self.database, pepper)
        self.keys = Keys(self.database, pepper)
        self.keyring = Keyring(self.database, pepper)
        self.audit = Audit(self.database)
        self.instances = Instances(self.database)
        self.limits = Limits(self.database)
        self.prices = Prices(self.database)
        self.credits = Credits(self.database)
        self.budgets = Budgets(self.database)
        self.usage = Usage(self.database)
        self.periods = Periods(self.database)
        self.allowances = Allowances(self.database)

    def close(self) -> None:
        """Let the database go."""
        self.database.close()


def fitting_pepper(database: Database, pepper_file: Path | None, *, create: bool = True) -> bytes:
    """The pepper that a database's keys were made with; the first one is written down by its fingerprint.

    Args:
        create: there may be none yet.

    Raises:
        DatabaseError: it is another one, or can't be had.
    """
    place = pepper_file or usual_pepper_file(database)
    known = known_pepper(database)
    pepper = load_pepper(place, os.environ.get(VARIABLE), create=create and known is None)
    shown = fingerprint(pepper)
    if known is None and create:
        known = _write_down(database, shown)
    if known not in (None, shown):
        where = VARIABLE if VARIABLE in os.environ else str(place)
        remedy = f"Restore the one that they were made with, as a file or as {VARIABLE}."
        raise DatabaseError(f"The pepper in {where} is not the one of the keys in {database.shown}.", remedy=remedy)
    return pepper


def known_pepper(database: Database) -> str | None:
    """The fingerprint of the pepper that a database's keys are made with; None if there is none yet."""
    with database.read() as transaction:
        query = select(FACTS.c.value).where(FACTS.c.name == _PEPPER)
        return transaction.connection.execute(query).scalar()


def _write_down(database: Database, shown: str) -> str:
    """The fingerprint that the database has from now on: this one, unless another process was first."""
    try:
        with database.write() as transaction:
            transaction.connection.execute(insert(FACTS).values(name=_PEPPER, value=shown))
    except IntegrityError:
        return known_pepper(database) or shown
    return shown


def ledger_folder(database: Database) -> Path:
    """Where processes of this machine keep what must outlive them until the database has it: beside a SQLite database;
    for another one in this user's state folder, by the database's name.
    """
    if database.file is not None:
        return database.file.with_name(f"{database.file.name}.ledger")
    from platformdirs import user_state_path

    return user_state_path("undiced") / f"{_name(database)}.ledger"


def usual_pepper_file(database: Database) -> Path:
    """Beside a SQLite database; for another one in this user's data folder, by the database's name."""
    if database.file is not None:
        return database.file.with_name(f"{database.file.name}.pepper")
    from platformdirs import user_data_path

    return user_data_path("undiced") / f"{_name(database)}.pepper"


def _name(database: Database) -> str:
    url = database.url
    return f"{url.host or 'local'}-{url.database or 'postgres'}"
