"""What accounts consist of, as plain data: organizations, projects, members, keys, invitations, the audit, instances.

Times are Unix seconds. Nothing here holds a secret. Knows no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from undiced.account.scopes import Kind, Role


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer, or a team that is one. `archived`: since when nothing of it works; None while it does."""

    id: str
    name: str
    created: int
    archived: int | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """What keys for inference belong to, below an organization."""

    id: str
    org_id: str
    name: str
    created: int
    archived: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that a member has: in its whole organization, or in one project."""

    role: Role
    project_id: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A person of an organization."""

    id: str
    org_id: str
    email: str
    created: int
    archived: int | None = None
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret.

    Attributes:
        org_id: None for a key of the operator, which is for all organizations. project_id: None for management keys of
            a whole organization. member_id: the person whose key it is; it can't do more than that person.
        last_four: the end of its secret.
        models: those that it may use; None for all.
        expires: when it ends; revoked: when it was ended.
        replaced_by: the key that it was rotated to; overlap_until: how long it goes on beside that one.
        last_used: to the minute; None if never.
    """

    id: str
    org_id: str | None
    project_id: str | None
    member_id: str | None
    kind: Kind
    name: str
    last_four: str
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None
    created: int
    expires: int | None = None
    revoked: int | None = None
    replaced_by: str | None = None
    overlap_until: int | None = None
    last_used: int | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to an organization; whoever holds its text may become a member once."""

    id: str
    org_id: str
    email: str
    role: Role
    project_id: str | None
    created: int
    expires: int
    accepted: int | None = None
    revoked: int | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody changed. `before` and `after` are the object then; None if it was not there."""

    seq: int
    at: int
    org_id: str | None
    actor: str
    action: str
    target: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Instance:
    """A server process that uses the database. `stopped`: when it ended in order."""

    id: str
    host: str
    pid: int
    started: int
    heartbeat: int
    stopped: int | None = None
