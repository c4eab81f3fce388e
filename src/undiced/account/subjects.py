"""Subjects: what limits, budgets and reports can be about: an organization, one of its projects, or one of its keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from undiced.account import reach
from undiced.account.records import Organization
from undiced.account.tables import KEYS

if TYPE_CHECKING:
    from undiced.account.actor import Actor
    from undiced.account.database import Transaction
    from undiced.account.ledger_records import Subject


@dataclass(frozen=True, slots=True)
class About:
    """One of them. `project_id`: of a project or a key; None for the organization."""

    org: Organization
    subject: Subject
    id: str
    project_id: str | None


def about(
    transaction: Transaction, actor: Actor, org: str, project: str | None = None, key: str | None = None
) -> About:
    """A key if one is named, else a project if one is named, else the organization.

    Raises:
        UnknownNameError: one of them does not exist for the actor.
    """
    found = reach.organization(transaction, actor, org)
    if key is not None:
        query = select(KEYS.c.id, KEYS.c.project_id).where(KEYS.c.id == key, KEYS.c.org_id == found.id)
        row = reach.one(transaction, query) if key.isprintable() else None
        if row is None or not actor.may("keys:read", row["project_id"]):
            raise reach.unknown("key", key, "key")
        return About(found, "key", key, row["project_id"])
    if project is not None:
        place = reach.project(transaction, actor, found, project)
        return About(found, "project", place.id, place.id)
    return About(found, "organization", found.id, None)
