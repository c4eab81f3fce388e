"""`undiced member`: the people of an organization and their roles. Their invitations are in `invitation`."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.account.scopes import OF_PROJECTS, Role
from undiced.cli.accounts import All, Org, Place, operator, org_of
from undiced.cli.consent import Yes, agree
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.paging import Paging, say_more
from undiced.cli.rows import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from undiced.account.accounts import Accounts
    from undiced.account.records import Grant, Member

Email = Annotated[str, typer.Argument(help="An e-mail address.", metavar="EMAIL")]
Who = Annotated[str, typer.Argument(help="The member's e-mail address or id.", metavar="EMAIL")]
AsRole = Annotated[
    Role, typer.Option("--role", help="org_admin and billing are for an organization, the others for a project.")
]
OfProject = Annotated[
    str | None,
    typer.Option(
        "--project",
        help="The project that the role is for; default, if the role is one of projects.",
        show_default=False,
    ),
]


@gathered
def create(
    email: Email, role: AsRole, *, project: OfProject = None, org: Org = None, place: Place, as_json: Json = False
) -> None:
    """Make somebody a member, with a role."""
    with place.opened() as accounts:
        org = org_of(accounts, org)
        made = accounts.members.create(operator(), org, email, role, project_of(role, project))
        _told(made, roles_of(accounts, org, [made]), as_json)


@gathered
def list_all(*, org: Org = None, all_: All = False, paging: Paging, place: Place, as_json: Json = False) -> None:
    """List the members of an organization and their roles."""
    from undiced.cli.rows import show_rows
    from undiced.cli.terminal import emit
    from undiced.cli.times import readable

    with place.opened() as accounts:
        org = org_of(accounts, org)
        found, more = paging.part(partial(accounts.members.list, operator(), org, archived=all_))
        roles = roles_of(accounts, org, found)
    if as_json:
        emit([asdict(each) for each in found])
    else:
        ended = ("ARCHIVED",) if all_ else ()
        rows = [
            (each.email, roles[each.id], readable(each.created), readable(each.archived, ""))[: 3 + len(ended)]
            for each in found
        ]
        show_rows(("EMAIL", "ROLES", "CREATED", *ended), rows, "No member: undiced member create EMAIL makes one.")
    say_more(more)


@gathered
def show(who: Who, *, org: Org = None, place: Place, as_json: Json = False) -> None:
    """Show a member."""
    from undiced.cli.rows import show_lines
    from undiced.cli.terminal import emit
    from undiced.cli.times import readable

    with place.opened() as accounts:
        org = org_of(accounts, org)
        found = accounts.members.show(operator(), org, who)
        roles = roles_of(accounts, org, [found])[found.id]
    if as_json:
        emit(asdict(found))
        return
    ended = [] if found.archived is None else [("archived", readable(found.archived))]
    lines = [("email", found.email), ("id", found.id), ("roles", roles), ("created", readable(found.created)), *ended]
    show_lines(lines)


@gathered
def grant(
    who: Who, role: AsRole, *, project: OfProject = None, org: Org = None, place: Place, as_json: Json = False
) -> None:
    """Give a member a further role."""
    with place.opened() as accounts:
        org = org_of(accounts, org)
        found = accounts.members.grant(operator(), org, who, role, project_of(role, project))
        _told(found, roles_of(accounts, org, [found]), as_json)


@gathered
def withdraw(
    who: Who, role: AsRole, *, project: OfProject = None, org: Org = None, place: Place, as_json: Json = False
) -> None:
    """Take a role from a member."""
    with place.opened() as accounts:
        org = org_of(accounts, org)
        found = accounts.members.withdraw(operator(), org, who, role, project_of(role, project))
        _told(found, roles_of(accounts, org, [found]), as_json)


@gathered
def archive(who: Who, *, org: Org = None, yes: Yes = False, place: Place, as_json: Json = False) -> None:
    """End a membership: that member's keys work no more. There is no way back."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        actor, org = operator(), org_of(accounts, org)
        found = accounts.members.show(actor, org, who)
        agree(f"Archive the member {found.email} of {org}? That member's keys stop working, for good.", yes=yes)
        found = accounts.members.archive(actor, org, found.id)
    emit(asdict(found)) if as_json else say(f"Archived the member {found.email} of {org}.")


def project_of(role: Role, project: str | None) -> str | None:
    """The project that a role is for: the first one of an organization, where the role needs one and none is named."""
    from undiced.account.organizations import FIRST_PROJECT

    return FIRST_PROJECT if project is None and role in OF_PROJECTS else project


def roles_of(accounts: Accounts, org: str, members: Iterable[Member]) -> Mapping[str, str]:
    """The roles of members in words, by their ids."""
    names = {each.id: each.name for each in accounts.projects.list(operator(), org, archived=True)}
    return {one.id: ", ".join(in_words(grant, names) for grant in one.grants) or "no role" for one in members}


def in_words(grant: Grant, projects: Mapping[str, str]) -> str:
    """A role as it is said."""
    return (
        grant.role
        if grant.project_id is None
        else f"{grant.role} of {projects.get(grant.project_id, grant.project_id)}"
    )


def _told(one: Member, roles: Mapping[str, str], as_json: bool) -> None:
    from undiced.cli.terminal import emit

    emit(asdict(one)) if as_json else say(f"{one.email}: {roles[one.id]}.")
