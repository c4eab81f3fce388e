"""`undiced limit`: how much an organization, a project or a key may use, and how much of it is used now."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.accounts import Place, operator
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.rows import say
from undiced.cli.subject import Calling, Part, WhichOrg, meant
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undiced.account.ledger_records import Standing
    from undiced.account.limits import Limit


def _capacity(what: str, window: str) -> object:
    return typer.Option(help=f"{what} {window}.", metavar="N", show_default=False)


@dataclass(frozen=True, slots=True)
class Capacities:
    """The options that limits have by the names of `MEASURES`."""

    rpm: Annotated[str | None, _capacity("Requests", "per minute")] = None
    rph: Annotated[str | None, _capacity("Requests", "per hour")] = None
    rpd: Annotated[str | None, _capacity("Requests", "per day")] = None
    tpm: Annotated[str | None, _capacity("Tokens of prompts and answers together", "per minute")] = None
    tph: Annotated[str | None, _capacity("Tokens", "per hour")] = None
    tpd: Annotated[str | None, _capacity("Tokens", "per day")] = None
    utpm: Annotated[str | None, _capacity("Tokens that are not cached", "per minute")] = None
    utph: Annotated[str | None, _capacity("Tokens that are not cached", "per hour")] = None
    utpd: Annotated[str | None, _capacity("Tokens that are not cached", "per day")] = None
    concurrency: Annotated[str | None, _capacity("Requests", "at once")] = None

    def given(self) -> dict[str, int | None]:
        """Those that are wanted; None takes one away.

        Raises:
            InvalidRequestError: one is no number, or there is none.
        """
        from undiced.cli.amounts import count_of

        texts: dict[str, str | None] = asdict(self)
        wanted = {name: count_of(text, f"--{name}") for name, text in texts.items() if text is not None}
        if not wanted:
            remedy = "Give one, as --tpm 500k or --rpm none."
            raise InvalidRequestError("No limit is named.", remedy=remedy)
        return wanted


@gathered
def set_some(
    *,
    org: WhichOrg = None,
    part: Part,
    model: Annotated[
        str, typer.Option("--model", help="For a model alone; for all together by default.", show_default=False)
    ] = "",
    capacities: Capacities,
    place: Place,
    as_json: Json = False,
) -> None:
    """Set limits, as --tpm 500k; `none` takes one away. Others stay, and so does what was used.

    Each fills up again all the time, by its number in its window, up to that number.
    """
    from undiced.cli.terminal import emit

    wanted = capacities.given()
    with place.opened() as accounts:
        org = meant(accounts, org)
        part = part.within(accounts, org)
        found = accounts.limits.set(operator(), org, wanted, project=part.project, key=part.key, model=model)
        whose = Calling.of(accounts, org).of_part(part)
    if as_json:
        emit([asdict(one) for one in found])
    else:
        say(f"{whose}{f', {model}' if model else ''}: {told(wanted)}.")


def told(capacities: Mapping[str, int | None]) -> str:
    """Limits in a sentence."""
    return ", ".join(f"{name} {'taken away' if most is None else f'{most:,}'}" for name, most in capacities.items())


@gathered
def list_all(*, org: WhichOrg = None, part: Part, place: Place, as_json: Json = False) -> None:
    """List limits, and how much of each is used now. Those of an organization come with its projects' and keys'.

    What is used grows less all the time; FULL IN says how long until a limit is whole again.
    """
    from undiced.cli.rows import show_rows
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        org = meant(accounts, org)
        part = part.within(accounts, org)
        found = accounts.limits.state(operator(), org, project=part.project, key=part.key)
        calling = Calling.of(accounts, org)
        whose = [calling.words(one.subject, one.subject_id) for one, _ in found]
    if as_json:
        emit([asdict(one) | {"name": one.name, "left": now.left, "reset_s": now.reset_s} for one, now in found])
    else:
        rows = [_row(name, *each) for name, each in sorted(zip(whose, found, strict=True), key=_depth)]
        columns = ("OF", "MODEL", "LIMIT", "MOST", "USED", "FULL IN")
        none = f"No limit: undiced limit set {org} --rpm 300 sets one."
        show_rows(columns, rows, none, numbers=columns[3:])


def _depth(row: tuple[str, tuple[Limit, Standing]]) -> int:
    """The organization stands first, then its projects, then keys."""
    return ("organization", "project", "key").index(row[1][0].subject)


def _row(whose: str, limit: Limit, now: Standing) -> Sequence[str]:
    from undiced.cli.amounts import duration

    counts = (f"{number:,}" for number in (limit.capacity, limit.capacity - now.left))
    return (whose, limit.model or "all", limit.name, *counts, duration(now.reset_s) if now.reset_s else "-")


@gathered
def clear(
    *,
    org: WhichOrg = None,
    part: Part,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Those for a model alone; for whatever models by default.", show_default=False),
    ] = None,
    place: Place,
    as_json: Json = False,
) -> None:
    """Take away all limits of something. Those of an organization's projects and keys are their own, and stay."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        org = meant(accounts, org)
        part = part.within(accounts, org)
        found = accounts.limits.clear(operator(), org, project=part.project, key=part.key, model=model)
        whose = Calling.of(accounts, org).of_part(part)
    if as_json:
        emit([asdict(one) for one in found])
    else:
        names = ", ".join(f"{one.name} {one.capacity:,}{f' of {one.model}' if one.model else ''}" for one in found)
        say(f"Taken away from {whose}: {names}." if found else f"{whose} had no such limit.")
