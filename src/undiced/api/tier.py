"""Tier: what a request's `service_tier` asks for, and which class of the engine's queue that is. What it costs is said
by prices, which call it the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from undiced.account.errors import PermissionDeniedError
from undiced.core.errors import InvalidRequestError
from undiced.serve import Priority

if TYPE_CHECKING:
    from undiced.account.keyring import Caller
    from undiced.account.money import Tier

    Asked = Tier | Literal[""]

_TIERS: dict[Tier, Priority] = {"priority": Priority.HIGH, "default": Priority.NORMAL, "flex": Priority.LOW}
_SCOPE = "priority"  # of keys
_AUTO = "auto"  # whatever is usual, which is `default`


def tier_of(asked: str | None) -> Asked:
    """The tier that a request is served in; empty where it asks for none, which is served as `default` is.

    Raises InvalidRequestError for one that there is not.
    """
    if asked is None:
        return ""
    named = "default" if asked == _AUTO else asked
    for tier in _TIERS:
        if tier == named:
            return tier
    raise InvalidRequestError(
        f"service_tier is '{asked[:40]}'; it must be auto, default, flex or priority.",
        param="service_tier",
        remedy="Leave it out for the usual one.",
    )


def priority_of(tier: Asked, caller: Caller | None) -> Priority:
    """The class of a tier.

    Raises PermissionDeniedError where it goes before others, and the caller's key does not say that it may.
    """
    priority = _TIERS[tier or "default"]
    if priority is Priority.HIGH and caller is not None and _SCOPE not in caller.scopes:
        raise PermissionDeniedError(
            f"service_tier '{tier}' needs the scope '{_SCOPE}', which the key does not have.",
            param="service_tier",
            remedy="Leave it out, or use a key that the operator gave that scope.",
        )
    return priority
