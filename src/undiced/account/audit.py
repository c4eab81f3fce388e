"""The audit: who changed what, when, from what to what. Rows are added inside the transaction of the change itself, and
the database refuses to change them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol, cast

from sqlalchemy import insert, select

from undiced.account.paging import LIST_MOST
from undiced.account.reach import organization
from undiced.account.records import AuditEntry
from undiced.account.tables import AUDIT
from undiced.core.printable import printable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction

    class Record(DataclassInstance, Protocol):
        """Plain data with an id, as in `records`."""

        @property
        def id(self) -> str:
            """What it is called."""


_MOST_CHARS = 200  # of words that come from outside
_LAST = (1 << 63) - 1


def note(
    transaction: Transaction,
    actor: Actor,
    action: str,
    org_id: str | None,
    *,
    before: Record | None = None,
    after: Record | None = None,
) -> None:
    """Add a row about a change of an object."""
    target = after or before
    assert target is not None
    transaction.connection.execute(
        insert(AUDIT).values(
            at=transaction.now,
            org_id=org_id,
            actor=printable(actor.name)[:_MOST_CHARS],
            action=action,
            target=target.id,
            before=_told(before),
            after=_told(after),
            request_id=printable(actor.request_id)[:_MOST_CHARS],
        )
    )


class Audit:
    """Reads the audit, newest entries first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self, actor: Actor, org: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """Entries of an organization, or of all for the operator; those below number `before`.

        Raises:
            UnknownNameError: there is no such organization. PermissionDeniedError: the actor may not read it.
        """
        query = select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(max(1, min(limit, LIST_MOST)))
        with self._database.read() as transaction:
            if org is not None or actor.org_id is not None:
                found = organization(transaction, actor, org if org is not None else actor.org_id or "")
                query = query.where(AUDIT.c.org_id == found.id)
            actor.need("audit:read")
            if before is not None:
                query = query.where(AUDIT.c.seq < max(0, min(before, _LAST)))
            rows = transaction.connection.execute(query).mappings().all()
        return [AuditEntry(**{**row, "before": _read(row["before"]), "after": _read(row["after"])}) for row in rows]


def _told(record: Record | None) -> str | None:
    return None if record is None else json.dumps(asdict(record), sort_keys=True)


def _read(text: str | None) -> Mapping[str, object] | None:
    return None if text is None else cast("Mapping[str, object]", json.loads(text))
