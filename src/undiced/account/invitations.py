"""Invitations: how people become members without anybody handling their keys. The text is shown once, as that of a key,
and its holder may accept it once until it ends.
"""

from __future__ import annotations

import hmac
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from sqlalchemy import false, insert, select, update
from sqlalchemy.exc import IntegrityError

from undiced.account import reach
from undiced.account.actor import Actor
from undiced.account.audit import note
from undiced.account.errors import NameTakenError
from undiced.account.members import add_member, grant_of
from undiced.account.names import email_of, span
from undiced.account.paging import part
from undiced.account.records import Grant, Invitation
from undiced.account.secret_text import SecretText
from undiced.account.tables import INVITATIONS
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.database import Database, Transaction
    from undiced.account.records import Member

USUAL_S = 7 * 86_400
MOST_S = 90 * 86_400
_SHOWN = [column for column in INVITATIONS.c if column.name != "digest"]


class Invitations:
    """See the file's head. `pepper`: what digests are made with."""

    def __init__(self, database: Database, pepper: bytes) -> None:
        self._database = database
        self._pepper = pepper

    def create(
        self, actor: Actor, org: str, email: str, role: str, project: str | None = None, *, expires_s: int = USUAL_S
    ) -> tuple[Invitation, SecretText]:
        """An invitation, and its text, which can't be had again.

        Raises:
            InvalidRequestError: no address, no role, a role at the wrong place, a span of over 90 days.
            UnknownNameError, ArchivedError, PermissionDeniedError.
        """
        email, text = email_of(email), SecretText.new("ui")
        span(expires_s, 1, MOST_S, "expires_s")
        with self._database.write() as transaction:
            found = reach.organization(transaction, actor, org, active=True)
            grant = grant_of(transaction, actor, found, role, project, active=True)
            now = transaction.now
            made = Invitation(text.id, found.id, email, grant.role, grant.project_id, now, now + expires_s)
            values = asdict(made) | {"digest": text.digest(self._pepper)}
            transaction.connection.execute(insert(INVITATIONS).values(values))
            note(transaction, actor, "invitation.create", found.id, after=made)
            return made, text

    def list(
        self,
        actor: Actor,
        org: str,
        *,
        email: str | None = None,
        ended: bool = False,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Invitation]:
        """Those of an organization, oldest first; `ended`: those too that were accepted, revoked or have expired.

        Args:
            email: those for this address. after, limit: as of `part`.

        Raises:
            InvalidRequestError: there is none that `after` names. UnknownNameError: there is no such organization.
            PermissionDeniedError: the actor may see none.
        """
        table = INVITATIONS
        with self._database.read() as transaction:
            found = reach.organization(transaction, actor, org)
            actor.need("members:read")
            narrowed = [] if email is None else [table.c.email == email if email.isprintable() else false()]
            if not ended:
                narrowed += [table.c.accepted.is_(None), table.c.revoked.is_(None), table.c.expires > transaction.now]
            query = select(*_SHOWN).where(table.c.org_id == found.id)
            rows = part(transaction, query, (table.c.created, table.c.id), narrowed, after, limit)
            return [Invitation(**row) for row in rows]

    def revoke(self, actor: Actor, org: str, invitation_id: str) -> Invitation:
        """End one. Again changes nothing.

        Raises:
            UnknownNameError: there is none. InvalidRequestError: it was accepted. PermissionDeniedError.
        """
        with self._database.write() as transaction:
            found = reach.organization(transaction, actor, org)
            actor.need("members:write")
            before = self._row(transaction, invitation_id)
            if before is None or before["org_id"] != found.id:
                raise reach.unknown("invitation", invitation_id, "invitation")
            old = _invitation(before)
            if old.accepted is not None:
                remedy = "Archive the member instead."
                raise InvalidRequestError("This invitation was accepted.", remedy=remedy, param="invitation")
            if old.revoked is not None:
                return old
            return self._change(transaction, actor, "invitation.revoke", old, replace(old, revoked=transaction.now))

    def accept(self, text: str, request_id: str = "") -> Member:
        """Make the holder of an invitation's text a member.

        Raises:
            InvalidRequestError: it is no invitation, or not one any more; one answer for all cases.
            NameTakenError: the address is a member's already. ArchivedError: there is nothing left to belong to.
        """
        parsed = SecretText.parse(text.strip(), "ui")
        with self._database.read() as transaction:
            self._opened(transaction, parsed)  # strangers wait for nobody who writes, nor does anybody for them
        try:
            with self._database.write() as transaction:
                old = self._opened(transaction, parsed)
                actor = Actor(f"invitation:{old.id}", old.org_id, request_id=request_id)
                org = reach.organization(transaction, actor, old.org_id, active=True)
                old = self._opened(transaction, parsed)  # another one may have accepted it before this was held
                if old.project_id is not None:
                    reach.project(transaction, actor, org, old.project_id, active=True)
                made = add_member(transaction, actor, org, old.email, Grant(old.role, old.project_id))
                new = replace(old, accepted=transaction.now)
                self._change(transaction, actor, "invitation.accept", old, new)
                return made
        except IntegrityError:
            remedy = "Ask an admin of the organization for the role."
            raise NameTakenError("This address is a member's already.", remedy=remedy, param="invitation") from None

    def _opened(self, transaction: Transaction, text: SecretText | None) -> Invitation:
        """What a text opens."""
        row = None if text is None else self._row(transaction, text.id)
        if text is not None and row is not None and hmac.compare_digest(row["digest"], text.digest(self._pepper)):
            found = _invitation(row)
            if found.accepted is found.revoked is None and found.expires > transaction.now:
                return found
        remedy = "Ask for another one."
        raise InvalidRequestError("This invitation is not valid.", remedy=remedy, param="invitation")

    def _row(self, transaction: Transaction, invitation_id: str) -> RowMapping | None:
        query = select(INVITATIONS).where(INVITATIONS.c.id == invitation_id)
        return reach.one(transaction, query) if invitation_id.isprintable() else None

    def _change(
        self, transaction: Transaction, actor: Actor, action: str, old: Invitation, new: Invitation
    ) -> Invitation:
        values = {"accepted": new.accepted, "revoked": new.revoked}
        transaction.connection.execute(update(INVITATIONS).where(INVITATIONS.c.id == new.id).values(values))
        note(transaction, actor, action, new.org_id, before=old, after=new)
        return new


def _invitation(row: RowMapping) -> Invitation:
    return Invitation(**{column.name: row[column.name] for column in _SHOWN})
