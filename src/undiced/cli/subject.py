"""Whose limit, budget or use is meant: an organization's, or that of one of its projects or keys; and what people call
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.accounts import operator, org_of
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.account.accounts import Accounts
    from undiced.account.ledger_records import Subject

_ORG = "The organization, by name or id"
WhichOrg = Annotated[
    str | None,
    typer.Argument(
        help=f"{_ORG}; may be left out if there is one alone.",
        metavar="ORG",
        envvar="UNDICED_ORG",
        show_envvar=False,
        show_default=False,
    ),
]
NamedOrg = Annotated[str, typer.Argument(help=f"{_ORG}.", metavar="ORG")]


def meant(accounts: Accounts, org: str | None) -> str:
    """The organization that is meant by `WhichOrg`.

    Raises:
        InvalidRequestError: none is named, and there is none or are several.
    """
    return org_of(accounts, org, "Name one as the first word.")


@dataclass(frozen=True, slots=True)
class Part:
    """The options that name a part of an organization; neither is the whole of it."""

    project: Annotated[
        str | None, typer.Option("--project", help="Of a project of it, by name or id.", show_default=False)
    ] = None
    key: Annotated[str | None, typer.Option("--key", help="Of a key of it, by id or name.", show_default=False)] = None

    def within(self, accounts: Accounts, org: str) -> Part:
        """The same with the key's id, whatever it is called by here.

        Raises:
            InvalidRequestError: a project and a key are named, or several keys are called that. UnknownNameError.
        """
        from undiced.cli.key_words import found_key

        if self.key is None:
            return self
        if self.project is not None:
            remedy = "Leave --project out: a key belongs to one anyway."
            raise InvalidRequestError("A project and a key are named.", remedy=remedy)
        return replace(self, key=found_key(accounts, self.key, org).id)


@dataclass(frozen=True, slots=True)
class Calling:
    """What people call the parts of an organization."""

    accounts: Accounts
    org_id: str
    names: Mapping[str, str]

    @classmethod
    def of(cls, accounts: Accounts, org: str) -> Calling:
        """For an organization by its name or id.

        Raises:
            UnknownNameError: there is none.
        """
        actor = operator()
        found = accounts.organizations.show(actor, org)
        projects = accounts.projects.list(actor, found.id, archived=True)
        return cls(accounts, found.id, {found.id: found.name, **{one.id: f"project {one.name}" for one in projects}})

    def of_part(self, part: Part) -> str:
        """The organization, or the project or key of it that is named, by its id if it is a key."""
        if part.key is not None:
            return self.words("key", part.key)
        if part.project is None:
            return self.names[self.org_id]
        return f"project {self.accounts.projects.show(operator(), self.org_id, part.project).name}"

    def words(self, subject: Subject, subject_id: str) -> str:
        """An organization's name, or a project or key with what it is."""
        if subject != "key":
            return self.names.get(subject_id, subject_id)
        return f"key {key_words(subject_id, self.accounts.keys.show(operator(), subject_id).name)}"


def key_words(key_id: str, name: str) -> str:
    """A key by its id, and what somebody called it."""
    return f"{key_id} ({name})" if name else key_id
