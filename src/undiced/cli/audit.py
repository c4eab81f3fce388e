"""`undiced audit`: who changed what in the accounts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.accounts import Place, operator
from undiced.cli.gathered import gathered
from undiced.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undiced.account.records import AuditEntry

_NAMES = ("name", "email")  # what people call a record by


@gathered
def audit(
    *,
    org: Annotated[str | None, typer.Option("--org", help="Of an organization alone.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries.")] = 50,
    before: Annotated[
        int | None, typer.Option(min=1, help="Those below this number: the page that follows.", show_default=False)
    ] = None,
    place: Place,
    as_json: Json = False,
) -> None:
    """Show who changed what in the accounts, newest first. With --json each entry has what was before and after."""
    from undiced.cli.rows import say, show_rows
    from undiced.cli.terminal import emit
    from undiced.cli.times import readable

    with place.opened() as accounts:
        actor = operator()
        found = accounts.audit.list(actor, org, before=before, limit=limit)
        orgs = {each.id: each.name for each in accounts.organizations.list(actor, archived=True)}
    if as_json:
        emit([asdict(each) for each in found])
    else:
        rows = [
            (readable(one.at), one.actor, one.action, orgs.get(one.org_id or "", "-"), _named(one)) for one in found
        ]
        show_rows(("TIME", "WHO", "DID", "ORG", "WHAT"), rows, "No entry.")
    if len(found) == limit and found[-1].seq > 1:
        say(f"There may be more: the same with --before {found[-1].seq}", err=True)


def _named(entry: AuditEntry) -> str:
    """What an entry is about: its name, or its id where commands take ids; and the roles that changed."""
    state: Mapping[str, object] = entry.after or entry.before or {}
    name = next((str(state[key]) for key in _NAMES if state.get(key)), "")
    if entry.action.startswith(("key.", "invitation.")):
        return f"{entry.target} {name}".rstrip()
    before, after = _roles(entry.before), _roles(entry.after)
    changed = [*(f"+{role}" for role in sorted(after - before)), *(f"-{role}" for role in sorted(before - after))]
    return " ".join([name or entry.target, *changed])


def _roles(state: Mapping[str, object] | None) -> set[str]:
    """The roles of a member as an entry has them."""
    grants = (state or {}).get("grants", ())
    return {str(grant["role"]) for grant in grants} if isinstance(grants, list) else set()
