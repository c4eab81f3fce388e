"""`undiced key`: keys of an organization, or of the operator. A key's secret is shown once, when it is made."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from undiced.account.scopes import SCOPES
from undiced.cli.accounts import All, Org, Place, operator, org_of
from undiced.cli.consent import Yes, agree
from undiced.cli.gathered import gathered
from undiced.cli.given import refuse_given
from undiced.cli.options import Json
from undiced.cli.paging import Paging, say_more
from undiced.cli.rows import say

if TYPE_CHECKING:
    from undiced.account.keys import KeyOrder

WhichKey = Annotated[
    str, typer.Argument(help="Its id, its name if one key alone has it, or the whole key.", metavar="KEY")
]
Operators = Annotated[
    bool, typer.Option("--operator", help="Of nobody's organization: management keys for all of them.")
]
Expires = Annotated[
    str | None,
    typer.Option(help="When it ends: after 90d or 24h, or at 2027-01-01 or 2027-01-01T12:00Z.", show_default=False),
]


def _scopes(incomplete: str) -> list[str]:
    """What a shell completes."""
    return [name for scopes in SCOPES.values() for name in scopes if name.startswith(incomplete)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options that say what a new key shall be."""

    kind: Annotated[
        Literal["inference", "management"] | None,
        typer.Option(help="For models, or for the management API.", show_default="inference"),
    ] = None
    name: Annotated[str, typer.Option(help="What you call it; not unique.", show_default=False)] = ""
    project: Annotated[
        str | None,
        typer.Option(help="Its project; default for inference, else the whole organization.", show_default=False),
    ] = None
    member: Annotated[
        str | None, typer.Option(help="Whose key it is; it can do no more than that member.", show_default=False)
    ] = None
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do; several times for several. All that is usual for its kind by default.",
            show_default=False,
            autocompletion=_scopes,
        ),
    ] = None
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model that it may use; several times for several. All by default.", show_default=False),
    ] = None
    expires: Expires = None

    def until(self) -> int | None:
        """When it ends; None for never.

        Raises:
            InvalidRequestError: what is given is no time, or has passed.
        """
        from undiced.cli.times import moment_of

        return None if self.expires is None else moment_of(self.expires, "--expires", time.time())

    def order(self, owner: str | None, until: int | None) -> KeyOrder:
        """The same for an organization, or for the operator."""
        from undiced.account.keys import KeyOrder
        from undiced.account.organizations import FIRST_PROJECT

        kind = self.kind or ("management" if owner is None else "inference")
        first = FIRST_PROJECT if kind == "inference" and owner is not None else None
        project = first if self.project is None else self.project
        return KeyOrder(kind, owner, project, self.member, self.name, self.scope or None, self.model or None, until)


@gathered
def create(
    given: typer.Context,
    *,
    wanted: Wanted,
    org: Org = None,
    operators: Operators = False,
    place: Place,
    as_json: Json = False,
) -> None:
    """Make a key, which is shown once. It alone is on the output, as in KEY=$(undiced key create)."""
    from undiced.cli.key_words import whose
    from undiced.cli.shown_once import show_once
    from undiced.cli.times import readable

    _see_place(given, operators)
    until = wanted.until()
    with place.opened() as accounts:
        actor, owner = operator(), None if operators else org_of(accounts, org)
        made, text = accounts.keys.create(actor, wanted.order(owner, until))
        ends = "which never expires" if until is None else f"until {readable(until)}"
        said = f"Key {made.id} for {made.kind}, of {whose(accounts, made)}, {ends}."
        show_once(text, made, said, lambda: accounts.keys.revoke(actor, made.id), as_json=as_json)


@gathered
def list_all(
    given: typer.Context,
    *,
    org: Org = None,
    project: Annotated[str | None, typer.Option(help="Those of a project alone.", show_default=False)] = None,
    operators: Operators = False,
    all_: All = False,
    paging: Paging,
    place: Place,
    as_json: Json = False,
) -> None:
    """List the keys of an organization that work. Of their secrets the last four characters are shown."""
    from undiced.cli.key_words import show_keys
    from undiced.cli.terminal import emit

    _see_place(given, operators)
    with place.opened() as accounts:
        actor, owner = operator(), None if operators else org_of(accounts, org)
        found, more = paging.part(partial(accounts.keys.list, actor, owner, project=project, ended=all_))
        if as_json:
            emit([asdict(each) for each in found])
        else:
            show_keys(accounts, owner, found, state=all_)
    say_more(more)


@gathered
def show(
    given: typer.Context,
    key: WhichKey,
    *,
    org: Org = None,
    operators: Operators = False,
    place: Place,
    as_json: Json = False,
) -> None:
    """Show a key, without its secret."""
    from undiced.cli.key_words import found_key, key_lines
    from undiced.cli.rows import show_lines
    from undiced.cli.terminal import emit

    _see_place(given, operators)
    with place.opened() as accounts:
        found = found_key(accounts, key, org, operators=operators)
        emit(asdict(found)) if as_json else show_lines(key_lines(accounts, found))


@gathered
def rotate(
    given: typer.Context,
    key: WhichKey,
    *,
    overlap: Annotated[str, typer.Option(help="How long the old key goes on: a duration, as 24h.")] = "0s",
    expires: Expires = None,
    org: Org = None,
    operators: Operators = False,
    place: Place,
    as_json: Json = False,
) -> None:
    """Make a key in the place of an old one. It is shown once, and the old one goes on for --overlap.

    The new key may do what the old one may, and ends when that would have ended, unless --expires is given.
    """
    from undiced.account.keys import OVERLAP_MOST_S
    from undiced.cli.key_words import found_key
    from undiced.cli.shown_once import show_once
    from undiced.cli.times import moment_of, readable, seconds_of

    _see_place(given, operators)
    overlap_s = seconds_of(overlap, "--overlap", OVERLAP_MOST_S)
    until = None if expires is None else moment_of(expires, "--expires", time.time())
    with place.opened() as accounts:
        actor, old = operator(), found_key(accounts, key, org, operators=operators)
        made, text = accounts.keys.rotate(actor, old.id, overlap_s=overlap_s, expires=until)
        old = accounts.keys.show(actor, old.id)
        goes = f"which works until {readable(old.overlap_until)}" if overlap_s else "which works no more"
        said = f"Key {made.id} is in the place of {old.id}, {goes}."
        show_once(text, made, said, lambda: accounts.keys.take_back(actor, made.id), as_json=as_json)


@gathered
def revoke(
    given: typer.Context,
    key: WhichKey,
    *,
    org: Org = None,
    operators: Operators = False,
    yes: Yes = False,
    place: Place,
    as_json: Json = False,
) -> None:
    """End a key. Servers refuse it within 5 seconds."""
    from undiced.cli.key_words import called, found_key
    from undiced.cli.terminal import emit

    _see_place(given, operators)
    with place.opened() as accounts:
        found = found_key(accounts, key, org, operators=operators, replaced=True)
        agree(f"Revoke the key {called(found)}? It stops working within 5 s, for good.", yes=yes)
        found = accounts.keys.revoke(operator(), found.id)
    emit(asdict(found)) if as_json else say(f"Revoked the key {called(found)}.")


def _see_place(given: typer.Context, operators: bool) -> None:
    """See that nobody asks for a key of an organization and of the operator at once."""
    if operators:
        refuse_given(given, {"org", "project", "member"}, "is not for keys of the operator")
