"""Tier: what a request's `service_tier` asks for, and which class of the engine's queue that is."""

from __future__ import annotations

from undiced.core.errors import InvalidRequestError
from undiced.serve import Priority

_TIERS = {"priority": Priority.HIGH, "default": Priority.NORMAL, "flex": Priority.LOW}
_AUTO = "auto"  # whatever is usual, which is `default`


def tier_of(asked: str | None) -> str:
    """The tier that a request is served in; empty where it asks for none, which is served as `default` is.

    Raises InvalidRequestError for one that there is not.
    """
    if asked is None:
        return ""
    tier = "default" if asked == _AUTO else asked
    if tier not in _TIERS:
        raise InvalidRequestError(
            f"service_tier is '{asked[:40]}'; it must be auto, default, flex or priority.",
            param="service_tier",
            remedy="Leave it out for the usual one.",
        )
    return tier


def priority_of(tier: str) -> Priority:
    """The class of a tier."""
    return _TIERS.get(tier, Priority.NORMAL)
