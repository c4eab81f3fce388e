"""What may be sent to the management API: one type per body. A member that a body does not have is refused by name."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from undiced.account.invitations import USUAL_S
from undiced.api.body import decode_part
from undiced.api.fields import Examiner, Where, served
from undiced.api.management.money_bodies import MONEY_BODIES
from undiced.core.errors import InvalidRequestError

T = TypeVar("T", bound=Struct)
Name = Annotated[str, Meta(description="Up to 63 of a-z, 0-9, '.' and '-'.", examples=["acme"])]
Email = Annotated[str, Meta(description="An e-mail address.", examples=["ada@example.com"])]
Role = Annotated[str, Meta(description="org_admin, project_admin, member or billing.", examples=["member"])]
OfRole = Annotated[str | None, Meta(description="For a role of projects: which, by name or id.", examples=["default"])]
Ends = Annotated[int | None, Meta(description="When it ends, in Unix seconds; null for never.")]
Seconds = Annotated[int, Meta(description="For how many seconds.")]


class NewOrganization(Struct):
    """An organization; it begins with a project `default`."""

    name: Name


class NewProject(Struct):
    """A project of an organization."""

    name: Name


class NewMember(Struct):
    """A member with a first role."""

    email: Email
    role: Role
    project: OfRole = None


class RoleOf(Struct):
    """A role of a member."""

    role: Role
    project: OfRole = None


class NewInvitation(Struct):
    """An invitation: whoever has its text may become a member, once."""

    email: Email
    role: Role
    project: OfRole = None
    expires_s: Seconds = USUAL_S


class Acceptance(Struct):
    """The text of an invitation."""

    invitation: Annotated[str, Meta(description="As it was shown to whoever made it.", examples=["ui-..."])]


class NewKey(Struct):
    """A key."""

    kind: Annotated[str, Meta(description="inference, management or console.", examples=["inference"])] = "inference"
    project: Annotated[str | None, Meta(description="By name or id; a key for inference has one.")] = None
    member: Annotated[str | None, Meta(description="Whose it is, by address or id; it can do no more than that.")] = (
        None
    )
    name: Annotated[str, Meta(description="What people call it.", examples=["ci"])] = ""
    scopes: Annotated[list[str] | None, Meta(description="What it may do; null for what is usual.")] = None
    models: Annotated[list[str] | None, Meta(description="Those that it may use; null for all.")] = None
    expires: Ends = None


class Rotation(Struct):
    """How a key is replaced by a new one."""

    overlap_s: Annotated[int, Meta(description="For how many seconds the old one goes on.", examples=[86_400])] = 0
    expires: Annotated[int | None, Meta(description="When the new one ends; null for when the old one would.")] = None


BODIES: tuple[type[Struct], ...] = (
    NewOrganization,
    NewProject,
    NewMember,
    RoleOf,
    NewInvitation,
    Acceptance,
    NewKey,
    Rotation,
    *MONEY_BODIES,
)
_EXAMINERS = {kind: Examiner({"": served("Undiced", "", *kind.__struct_fields__)}, Where.BOTH) for kind in BODIES}


def read_body(body: bytes, kind: type[T]) -> T:
    """What a request's body says; nothing says what is usual, where all of it may be left out.

    Raises:
        InvalidRequestError: no JSON, a member of another type, missing, given twice, or one that is not known.
    """
    sent = msgspec.Raw(body.strip() or b"{}")
    try:
        made, unknown = decode_part(sent, kind, "", _EXAMINERS[kind])
    except InvalidRequestError:
        _refuse(_unknown(sent, kind), kind)  # a name that is misspelt is why another one is missing
        raise
    _refuse(unknown, kind)
    return made


def _unknown(sent: msgspec.Raw, kind: type[Struct]) -> tuple[str, ...]:
    try:
        return _EXAMINERS[kind].examine(sent)
    except (msgspec.MsgspecError, ValueError, InvalidRequestError, RecursionError):
        return ()


def _refuse(unknown: tuple[str, ...], kind: type[Struct]) -> None:
    if unknown:
        shown, known = unknown[0][:64], ", ".join(kind.__struct_fields__)
        raise InvalidRequestError(f"{shown} is not known here.", remedy=f"There are {known}.", param=shown)
