"""How records look to clients of the management API: with a member `object` that says what they are."""

from __future__ import annotations

from dataclasses import asdict

from undiced.account.budgets import BudgetRule
from undiced.account.credits import Balance, CreditGrant
from undiced.account.limits import Limit
from undiced.account.prices import Price
from undiced.account.records import AuditEntry, Invitation, Key, Member, Organization, Project
from undiced.account.usage import Invoice, UsageRow
from undiced.api.management.openai_shapes import CostsPage, UsagePage

Money = Limit | BudgetRule | CreditGrant | Balance | Price | UsageRow | Invoice
Record = Organization | Project | Member | Key | Invitation | AuditEntry | Money | UsagePage | CostsPage
OBJECTS: dict[type[Record], str] = {
    Organization: "organization",
    Project: "project",
    Member: "member",
    Key: "key",
    Invitation: "invitation",
    AuditEntry: "audit_entry",
    Limit: "limit",
    BudgetRule: "budget",
    CreditGrant: "credit",
    Balance: "balance",
    Price: "price",
    UsageRow: "usage",
    Invoice: "invoice",
    UsagePage: "page",
    CostsPage: "page",
}


def shown(record: Record, secret: str | None = None) -> dict[str, object]:
    """A record, and the secret that is shown this once."""
    told: dict[str, object] = {"object": OBJECTS[type(record)], **asdict(record)}
    return told if secret is None else {**told, "secret": secret}
