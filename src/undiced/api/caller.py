"""The caller of a request, and what is its own: the models that it may use, and the cached prompts of its organization.

Where a server asks for no keys there is no caller, and everything is everybody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

    from undiced.account.keyring import Caller
    from undiced.api.deployment import Deployment

CALLER = "undiced.caller"  # the member of an ASGI scope in which the caller stands; None where no keys are asked for


def caller_of(scope: Scope) -> Caller | None:
    """Who asks."""
    caller: Caller | None = scope[CALLER]
    return caller


def org_of(caller: Caller | None) -> str:
    """The organization that asks; empty where no keys are asked for."""
    return "" if caller is None else caller.org_id or ""


def usable(deployments: Sequence[Deployment], caller: Caller | None) -> Sequence[Deployment]:
    """Those that a caller may use, in their order. A key names models as clients do."""
    if caller is None or caller.models is None:
        return deployments
    return [each for each in deployments if not caller.models.isdisjoint((each.card.id, *each.card.aliases))]


def salted(org_id: str, salt: str) -> str:
    """What cached prefixes are kept apart by: the organization, and inside it what its clients say.

    No id of an organization has a `/`, so what a client says can't make it another organization.
    """
    return f"{org_id}/{salt}" if org_id else salt
