"""How records look to clients of the management API: with a member `object` that says what they are."""

from __future__ import annotations

from dataclasses import asdict

from undiced.account.records import AuditEntry, Invitation, Key, Member, Organization, Project

Record = Organization | Project | Member | Key | Invitation | AuditEntry
OBJECTS: dict[type[Record], str] = {
    Organization: "organization",
    Project: "project",
    Member: "member",
    Key: "key",
    Invitation: "invitation",
    AuditEntry: "audit_entry",
}


def shown(record: Record, secret: str | None = None) -> dict[str, object]:
    """A record, and the secret that is shown this once."""
    told: dict[str, object] = {"object": OBJECTS[type(record)], **asdict(record)}
    return told if secret is None else {**told, "secret": secret}
