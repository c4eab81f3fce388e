"""`undiced member invite` and what belongs to it: how people become members without anybody handling their keys."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.account.records import Grant
from undiced.cli.accounts import All, Org, Place, operator, org_of
from undiced.cli.gathered import gathered
from undiced.cli.member import AsRole, Email, OfProject, in_words, project_of, roles_of
from undiced.cli.options import Json
from undiced.cli.paging import Paging, say_more
from undiced.cli.rows import say
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.account.accounts import Accounts
    from undiced.account.records import Invitation

_USUAL = "7d"


@gathered
def invite(
    email: Email,
    role: AsRole,
    *,
    project: OfProject = None,
    org: Org = None,
    expires: Annotated[str, typer.Option(help="How long it can be accepted: a duration, as 48h.")] = _USUAL,
    place: Place,
    as_json: Json = False,
) -> None:
    """Make an invitation, which is shown once. Send it to that person; `undiced member accept` takes it."""
    from undiced.account.invitations import MOST_S
    from undiced.cli.shown_once import show_once
    from undiced.cli.times import readable, seconds_of

    expires_s = seconds_of(expires, "--expires", MOST_S)
    with place.opened() as accounts:
        actor, org = operator(), org_of(accounts, org)
        made, text = accounts.invitations.create(
            actor, org, email, role, project_of(role, project), expires_s=expires_s
        )
        said = f"Invitation {made.id} of {made.email} to {org}, until {readable(made.expires)}."
        show_once(text, made, said, lambda: accounts.invitations.revoke(actor, org, made.id), as_json=as_json)


@gathered
def list_all(*, org: Org = None, all_: All = False, paging: Paging, place: Place, as_json: Json = False) -> None:
    """List invitations that are open."""
    from undiced.cli.rows import show_rows
    from undiced.cli.terminal import emit
    from undiced.cli.times import readable

    with place.opened() as accounts:
        actor, org = operator(), org_of(accounts, org)
        found, more = paging.part(partial(accounts.invitations.list, actor, org, ended=all_))
        names = {each.id: each.name for each in accounts.projects.list(actor, org, archived=True)}
    if as_json:
        emit([asdict(each) for each in found])
    else:
        columns, now_s = ("ID", "EMAIL", "ROLE", "EXPIRES", "STATE")[: 4 + all_], time.time()
        rows = []
        for each in found:
            role = in_words(Grant(each.role, each.project_id), names)
            rows.append((each.id, each.email, role, readable(each.expires), _state(each, now_s))[: len(columns)])
        show_rows(columns, rows, "No open invitation: undiced member invite EMAIL makes one.")
    say_more(more)


def _state(one: Invitation, now_s: float) -> str:
    """What became of an invitation."""
    if one.accepted is not None:
        return "accepted"
    if one.revoked is not None:
        return "ended"
    return "open" if one.expires > now_s else "expired"


@gathered
def accept(
    *,
    invitation: Annotated[
        str | None,
        typer.Argument(help="Its text; without it, one line of the input.", metavar="INVITATION", show_default=False),
    ] = None,
    place: Place,
    as_json: Json = False,
) -> None:
    """Make the holder of an invitation a member."""
    from undiced.cli.terminal import emit, typed

    if invitation is None and sys.stdin.isatty():
        typer.echo("The invitation: ", nl=False, err=True)
    text = typed(line=True) if invitation is None else invitation
    with place.opened() as accounts:
        made = accounts.invitations.accept(text)
        roles = roles_of(accounts, made.org_id, [made])[made.id]
        org = accounts.organizations.show(operator(), made.org_id)
    emit(asdict(made)) if as_json else say(f"{made.email} is a member of {org.name}: {roles}.")


@gathered
def uninvite(
    invitation: Annotated[
        str, typer.Argument(help="Its id, or the e-mail address, if there is one alone.", metavar="INVITATION")
    ],
    *,
    org: Org = None,
    place: Place,
    as_json: Json = False,
) -> None:
    """End an invitation."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        org = org_of(accounts, org)
        found = accounts.invitations.revoke(operator(), org, _meant(accounts, org, invitation))
    emit(asdict(found)) if as_json else say(f"Ended the invitation {found.id} of {found.email}.")


def _meant(accounts: Accounts, org: str, ref: str) -> str:
    """The id of an invitation that is named by its id or by an address.

    Raises:
        InvalidRequestError: several are open for that address.
    """
    found = [each.id for each in accounts.invitations.list(operator(), org, email=ref.lower())]
    if len(found) > 1:
        raise InvalidRequestError(f"{ref[:80]} has several invitations: {', '.join(found)}.", remedy="Give an id.")
    return found[0] if found else ref
