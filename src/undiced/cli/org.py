"""`undiced org`: organizations, as the operator makes and ends them."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.accounts import All, Place, operator, org_of
from undiced.cli.consent import Yes, agree
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.paging import Paging, say_more
from undiced.cli.rows import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.account.records import Organization, Project

NewName = Annotated[str, typer.Argument(help="Up to 63 of a-z, 0-9, '.' and '-'.", metavar="NAME")]
Name = Annotated[str, typer.Argument(help="Its name or id.", metavar="NAME")]


@gathered
def create(name: NewName, *, place: Place, as_json: Json = False) -> None:
    """Make an organization, with a project named default."""
    from undiced.cli.terminal import emit

    with place.opened(create=True) as accounts:
        made = accounts.organizations.create(operator(), name)
        where = accounts.database.shown
    emit(asdict(made)) if as_json else say(f"Made the organization {made.name} in {where}.")


@gathered
def list_all(*, all_: All = False, paging: Paging, place: Place, as_json: Json = False) -> None:
    """List organizations."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        found, more = paging.part(partial(accounts.organizations.list, operator(), archived=all_))
    if as_json:
        emit([asdict(each) for each in found])
    else:
        list_named(found, "No organization yet: undiced org create NAME makes one.", archived=all_)
    say_more(more)


def list_named(found: Sequence[Organization] | Sequence[Project], none: str, *, archived: bool) -> None:
    """A table of organizations or projects."""
    from undiced.cli.rows import show_rows
    from undiced.cli.times import readable

    ended = ("ARCHIVED",) if archived else ()
    rows = [
        (each.name, each.id, readable(each.created), readable(each.archived, ""))[: 3 + len(ended)] for each in found
    ]
    show_rows(("NAME", "ID", "CREATED", *ended), rows, none)


@gathered
def show(
    *,
    name: Annotated[
        str | None, typer.Argument(help="Its name or id; may be left out if there is one alone.", metavar="NAME")
    ] = None,
    place: Place,
    as_json: Json = False,
) -> None:
    """Show an organization."""
    from undiced.cli.rows import show_lines
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        actor = operator()
        found = accounts.organizations.show(actor, org_of(accounts, name))
        projects = [each.name for each in accounts.projects.list(actor, found.id)]
        members = accounts.members.count(actor, found.id)
    if as_json:
        emit(asdict(found))
    else:
        show_lines([*named_lines(found), ("projects", ", ".join(projects)), ("members", str(members))])


def named_lines(found: Organization | Project) -> list[tuple[str, str]]:
    """What organizations and projects have in common, in words."""
    from undiced.cli.times import readable

    ended = [] if found.archived is None else [("archived", readable(found.archived))]
    return [("name", found.name), ("id", found.id), ("created", readable(found.created)), *ended]


@gathered
def archive(name: Name, *, yes: Yes = False, place: Place, as_json: Json = False) -> None:
    """End an organization: its keys work no more. There is no way back; its name stays taken."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        actor = operator()
        found = accounts.organizations.show(actor, name)
        agree(f"Archive the organization {found.name}? Its keys stop working, for good.", yes=yes)
        found = accounts.organizations.archive(actor, found.id)
    emit(asdict(found)) if as_json else say(f"Archived the organization {found.name}.")
