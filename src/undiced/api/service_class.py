"""Service class: what a request's `service_tier` asks for, and which class of the engine's queue that is. What it costs
is said by prices, which call it the same. Clients alone call it a tier; for us that is a set of limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from undiced.account.errors import PermissionDeniedError
from undiced.core.errors import InvalidRequestError
from undiced.serve import Priority

if TYPE_CHECKING:
    from undiced.account.keyring import Caller
    from undiced.account.money import ServiceClass

    Asked = ServiceClass | Literal[""]

_PRIORITIES: dict[ServiceClass, Priority] = {
    "priority": Priority.HIGH,
    "default": Priority.NORMAL,
    "flex": Priority.LOW,
}
_SCOPE = "priority"  # of keys
_AUTO = "auto"  # whatever is usual, which is `default`


def class_of(asked: str | None) -> Asked:
    """The class of service of a request; empty where it asks for none, which is served as `default` is.

    Raises InvalidRequestError for one that there is not.
    """
    if asked is None:
        return ""
    named = "default" if asked == _AUTO else asked
    for known in _PRIORITIES:
        if known == named:
            return known
    raise InvalidRequestError(
        f"service_tier is '{asked[:40]}'; it must be auto, default, flex or priority.",
        param="service_tier",
        remedy="Leave it out for the usual one.",
    )


def priority_of(asked: Asked, caller: Caller | None) -> Priority:
    """Its class in the queue.

    Raises PermissionDeniedError where it goes before others, and the caller's key does not say that it may.
    """
    priority = _PRIORITIES[asked or "default"]
    if priority is Priority.HIGH and caller is not None and _SCOPE not in caller.scopes:
        raise PermissionDeniedError(
            f"service_tier '{asked}' needs the scope '{_SCOPE}', which the key does not have.",
            param="service_tier",
            remedy="Leave it out, or use a key that the operator gave that scope.",
        )
    return priority
