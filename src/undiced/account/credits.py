"""Credits and balances: what an organization has paid in or was given, and what is left. Added by the operator.

The first credit makes a balance, and a prepaid one: nothing runs that it does not cover.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from undiced.account import reach
from undiced.account.audit import note
from undiced.account.changes import raise_counter
from undiced.account.errors import PermissionDeniedError
from undiced.account.expiry import book
from undiced.account.ledger_tables import CREDITS, ENTRIES, WALLETS
from undiced.account.money import MOST_NANOS, see_amount
from undiced.account.names import later
from undiced.account.prices import USUAL_CURRENCY, first_currency, see_currency
from undiced.account.purses import Credit, Expiry, Purse
from undiced.account.secret_text import new_id
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction

_NOTE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,200}")


@dataclass(frozen=True, slots=True)
class CreditGrant:
    """A credit. `amount`, `remaining`: in nanos; `expires`: when what remains is lost."""

    id: str
    org_id: str
    amount: int
    remaining: int
    created: int
    expires: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Balance:
    """A balance in nanos. `reserved`: the worst case of what runs. A postpaid one may be negative: what is owed."""

    org_id: str
    currency: str
    prepaid: bool
    balance: int
    reserved: int

    @property
    def id(self) -> str:
        """What it is called in the audit."""
        return self.org_id


class Credits:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        actor: Actor,
        org: str,
        amount: int,
        *,
        currency: str = USUAL_CURRENCY,
        expires: int | None = None,
        why: str = "",
    ) -> tuple[CreditGrant, Balance]:
        """Add a credit of so many nanos.

        Raises:
            InvalidRequestError: an amount, currency, time or note that is none. UnknownNameError, ArchivedError.
            PermissionDeniedError: the actor is not the operator.
        """
        see_amount(amount)
        if not _NOTE.fullmatch(why):
            raise InvalidRequestError("This can't be a note.", remedy="Use up to 200 characters.", param="note")
        with self._database.write() as transaction:
            found = reach.organization(transaction, actor, org, active=True)
            _see_operator(actor)
            see_currency(transaction, currency)
            book(transaction, found.id)
            until = later(expires, transaction.now, "expires")
            made = CreditGrant(f"crd_{new_id()}", found.id, amount, amount, transaction.now, until, why)
            balance = _balance(transaction, found.id) or _first(transaction, found.id, currency, prepaid=True)
            if balance.balance > MOST_NANOS // 2:
                raise InvalidRequestError("The balance would be too large.", remedy="Give less.", param="amount")
            spare = (
                made.amount if balance.balance >= 0 else max(0, made.amount + balance.balance)
            )  # a debt is paid first
            values = {column.name: getattr(made, column.name) for column in CREDITS.c} | {"remaining": spare}
            transaction.connection.execute(insert(CREDITS).values(values))
            here = WALLETS.c.org_id == found.id
            transaction.connection.execute(update(WALLETS).where(here).values(balance=WALLETS.c.balance + amount))
            entry = {"org_id": found.id, "at": transaction.now, "kind": "credit", "amount": amount, "ref": made.id}
            transaction.connection.execute(insert(ENTRIES).values(entry))
            book(transaction, found.id, late=True)  # what runs may count on the new one instead of one that has ended
            note(transaction, actor, "credit.add", found.id, after=made)
            after = _balance(transaction, found.id)
            assert after is not None
            return made, after

    def set_prepaid(self, actor: Actor, org: str, prepaid: bool) -> Balance:
        """Let an organization pay in advance, or afterwards.

        Raises:
            InvalidRequestError: it owes something, and can't be prepaid. UnknownNameError, PermissionDeniedError.
        """
        with self._database.write() as transaction:
            found = reach.organization(transaction, actor, org)
            _see_operator(actor)
            before = _balance(transaction, found.id)
            if before is None:
                currency = first_currency(transaction) or USUAL_CURRENCY
                made = _first(transaction, found.id, currency, prepaid=prepaid)
                note(transaction, actor, "balance.set", found.id, after=made)
                return made
            if prepaid and before.balance < 0:
                remedy = "Add what it owes as credit first."
                raise InvalidRequestError("The organization owes something.", remedy=remedy, param="prepaid")
            here = WALLETS.c.org_id == found.id
            transaction.connection.execute(update(WALLETS).where(here).values(prepaid=int(prepaid)))
            after = _balance(transaction, found.id)
            assert after is not None
            note(transaction, actor, "balance.set", found.id, before=before, after=after)
            return after

    def balance(self, actor: Actor, org: str) -> Balance | None:
        """What an organization has; None if it has no balance and nothing is taken from it.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.read() as transaction:
            found = reach.organization(transaction, actor, org)
            actor.need("billing:read")
            return balance_now(transaction, found.id)

    def list(self, actor: Actor, org: str) -> list[CreditGrant]:
        """Its credits, oldest first. Of one that has ended something remains while a running request counts on it.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.read() as transaction:
            found = reach.organization(transaction, actor, org)
            actor.need("billing:read")
            query = select(CREDITS).where(CREDITS.c.org_id == found.id).order_by(CREDITS.c.created, CREDITS.c.id)
            stored = _balance(transaction, found.id, lock=False)
            credits = () if stored is None else _purse(transaction, stored)[0].credits
            remaining = {one.id: one.remaining for one in credits}
            rows = transaction.connection.execute(query).mappings()
            return [CreditGrant(**{**row, "remaining": remaining.get(row["id"], 0)}) for row in rows]


def _see_operator(actor: Actor) -> None:
    if actor.org_id is not None:
        raise PermissionDeniedError("Credit is given by the operator.", remedy="Ask whoever runs the server.")
    actor.need("orgs:write")


def _balance(transaction: Transaction, org_id: str, *, lock: bool = True) -> Balance | None:
    query = select(WALLETS).where(WALLETS.c.org_id == org_id)
    row = reach.one(transaction, query.with_for_update() if lock else query)
    return None if row is None else Balance(**{**row, "prepaid": bool(row["prepaid"])})


def balance_now(transaction: Transaction, org_id: str) -> Balance | None:
    """What an organization has; None if it has no balance. Credit whose time has passed is not counted."""
    return balance_and_expiries(transaction, org_id)[0]


def balance_and_expiries(transaction: Transaction, org_id: str) -> tuple[Balance | None, list[Expiry]]:
    """The same, and what of its credit has ended that is not yet written down."""
    stored = _balance(transaction, org_id, lock=False)
    if stored is None:
        return None, []
    purse, ended = _purse(transaction, stored)
    return replace(stored, balance=purse.balance), ended


def _purse(transaction: Transaction, stored: Balance) -> tuple[Purse, list[Expiry]]:
    """A balance as of now, and what it lost since it was last written."""
    columns = (CREDITS.c.id, CREDITS.c.remaining, CREDITS.c.expires)
    here = (CREDITS.c.org_id == stored.org_id, CREDITS.c.remaining > 0)
    order = (CREDITS.c.expires, CREDITS.c.created, CREDITS.c.id)
    rows = transaction.connection.execute(select(*columns).where(*here).order_by(*order))
    credits = [Credit(*row) for row in rows]
    purse = Purse(stored.org_id, stored.prepaid, stored.balance, stored.reserved, credits)
    return purse, purse.expire(transaction.now)


def _first(transaction: Transaction, org_id: str, currency: str, *, prepaid: bool) -> Balance:
    made = Balance(org_id, currency, prepaid, 0, 0)
    values = {"org_id": org_id, "currency": currency, "prepaid": int(prepaid), "balance": 0, "reserved": 0}
    transaction.connection.execute(insert(WALLETS).values(values))
    raise_counter(transaction)
    return made
