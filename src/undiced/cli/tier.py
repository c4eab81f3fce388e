"""`undiced tier`: sets of limits under a name, and giving an organization one of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from undiced.cli.accounts import Place, operator
from undiced.cli.gathered import gathered
from undiced.cli.limit import told
from undiced.cli.options import Json
from undiced.cli.rows import say
from undiced.cli.subject import NamedOrg

Tier = Annotated[Literal["free", "developer", "enterprise"], typer.Argument(help="The set of limits.", metavar="TIER")]


@gathered
def list_all(*, as_json: Json = False) -> None:
    """List the tiers and their limits."""
    from undiced.account.limits import TIERS
    from undiced.cli.rows import show_rows
    from undiced.cli.terminal import emit

    if as_json:
        emit({name: dict(limits) for name, limits in TIERS.items()})
    else:
        show_rows(("TIER", "LIMITS"), [(name, told(limits)) for name, limits in TIERS.items()], "No tier.")


@gathered
def set_one(org: NamedOrg, tier: Tier, *, place: Place, as_json: Json = False) -> None:
    """Give an organization the limits of a tier. Others that it has are taken away.

    Its limits for single models stay, and so do those of its projects and keys.
    """
    from undiced.account.limits import MEASURES, TIERS
    from undiced.cli.terminal import emit

    wanted = TIERS[tier]
    with place.opened() as accounts:
        found = accounts.organizations.show(operator(), org)
        before = accounts.limits.list(operator(), found.id)
        after = accounts.limits.set(operator(), found.id, {name: wanted.get(name) for name in MEASURES})
    if as_json:
        emit([asdict(one) for one in after])
        return
    own = {one.name for one in before if one.subject_id == found.id and not one.model}
    ended = [name for name in MEASURES if name in own - set(wanted)]
    say(f"{found.name} has the tier {tier}: {told({**wanted, **dict.fromkeys(ended)})}.")
    if kept := len(after) - len(wanted):
        say(f"{kept} for models, projects or keys stay: undiced limit list {found.name} shows them.")
