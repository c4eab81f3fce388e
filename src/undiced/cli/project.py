"""`undiced project`: projects of an organization."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from undiced.cli.accounts import All, Org, Place, operator, org_of
from undiced.cli.consent import Yes, agree
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.org import Name, NewName, list_named, named_lines
from undiced.cli.paging import Paging, say_more
from undiced.cli.rows import say


@gathered
def create(name: NewName, *, org: Org = None, place: Place, as_json: Json = False) -> None:
    """Make a project of an organization."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        org = org_of(accounts, org)
        made = accounts.projects.create(operator(), org, name)
    emit(asdict(made)) if as_json else say(f"Made the project {made.name} of {org}.")


@gathered
def list_all(*, org: Org = None, all_: All = False, paging: Paging, place: Place, as_json: Json = False) -> None:
    """List the projects of an organization."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        listed = partial(accounts.projects.list, operator(), org_of(accounts, org), archived=all_)
        found, more = paging.part(listed)
    if as_json:
        emit([asdict(each) for each in found])
    else:
        list_named(found, "No project: undiced project create NAME makes one.", archived=all_)
    say_more(more)


@gathered
def show(name: Name, *, org: Org = None, place: Place, as_json: Json = False) -> None:
    """Show a project."""
    from undiced.cli.rows import show_lines
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        actor, org = operator(), org_of(accounts, org)
        found = accounts.projects.show(actor, org, name)
        owner = accounts.organizations.show(actor, org)
    emit(asdict(found)) if as_json else show_lines([*named_lines(found), ("organization", owner.name)])


@gathered
def archive(name: Name, *, org: Org = None, yes: Yes = False, place: Place, as_json: Json = False) -> None:
    """End a project: its keys work no more. There is no way back; its name stays taken."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        actor, org = operator(), org_of(accounts, org)
        found = accounts.projects.show(actor, org, name)
        agree(f"Archive the project {found.name} of {org}? Its keys stop working, for good.", yes=yes)
        found = accounts.projects.archive(actor, org, found.id)
    emit(asdict(found)) if as_json else say(f"Archived the project {found.name} of {org}.")
