"""The accounts that a command works on: where they are, who acts on them, and which organization is meant.

Knows no command. Loads the database's library when they are opened.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.rows import say
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undiced.account.accounts import Accounts
    from undiced.account.actor import Actor
    from undiced.account.database import Database

Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        help="The accounts' database: a file, or postgresql://USER@HOST/NAME; accounts.db in your data folder by "
        "default.",
        show_default=False,
        metavar="URL",
    ),
]
Org = Annotated[
    str | None,
    typer.Option("--org", help="The organization; may be left out if there is one alone.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", "-a", help="Also those that are archived or have ended.")]
_ASKED_FIRST = ("key create",)  # it has most of the options that are set for accounts
_MANY = 8  # organizations that an error lists


@dataclass(frozen=True, slots=True)
class Place:
    """The options that say where the accounts are.

    Attributes:
        db: their database. pepper_file: what its keys are stored with.
    """

    db: Db = None
    pepper_file: Annotated[
        Path | None,
        typer.Option(
            "--pepper-file",
            help="The file with the pepper of its keys; beside the database by default.",
            show_default=False,
            metavar="FILE",
        ),
    ] = None

    @contextlib.contextmanager
    def opened(self, *, create: bool = False) -> Iterator[Accounts]:
        """The accounts; `create`: they may be new.

        Raises:
            DatabaseError: there are none, or they can't be used. DatabaseAwayError: the database does not answer.
        """
        from undiced.account.accounts import Accounts

        accounts = Accounts(self.url(create=create), self.pepper_file, create=create)
        with contextlib.closing(accounts):
            yield accounts

    @contextlib.contextmanager
    def database(self, *, create: bool = False) -> Iterator[Database]:
        """The database alone, whatever is in it."""
        from undiced.account.database import Database

        with contextlib.closing(Database(self.url(create=create))) as database:
            yield database

    def url(self, *, create: bool = False) -> str:
        """The database that is meant; `create`: the usual one gets its folder."""
        from undiced.cli.commands import all_built, built
        from undiced.cli.environment import unknown_variables, unread

        commands = chain(map(built, _ASKED_FIRST), all_built())
        for name, near in unknown_variables(commands).items():  # it may have been meant to name the database
            say(unread(name, near), err=True)
        return self.where(create=create)

    def where(self, *, create: bool) -> str:
        """The same, without a word about the environment."""
        if self.db is not None:
            return self.db
        from platformdirs import user_data_path

        folder = user_data_path("undiced", appauthor=False)
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(folder / "accounts.db")


def operator() -> Actor:
    """This process's user, whatever its environment says."""
    from undiced.account.actor import Actor

    try:
        import pwd

        name = pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # a container's user may have no name
        name = str(os.getuid()) if hasattr(os, "getuid") else "somebody"
    return Actor.operator(name)


def org_of(accounts: Accounts, org: str | None, how: str = "Name one with --org.") -> str:
    """The organization that is meant: the one that is named, or the only one. `how`: several have to be told apart.

    Raises:
        InvalidRequestError: none is named, and there is none or are several.
    """
    if org is not None:
        return org
    known = [each.name for each in accounts.organizations.list(operator(), limit=_MANY + 1)]
    if len(known) == 1:
        return known[0]
    if not known:
        raise InvalidRequestError("There is no organization yet.", remedy="Make one: undiced org create NAME.")
    listed = ", ".join([*known[:_MANY], *["..."][: len(known) > _MANY]])
    raise InvalidRequestError(f"There are several organizations: {listed}.", remedy=how)
