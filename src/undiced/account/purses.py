"""Purses: the balances that a transaction of the ledger touches, locked, counted in memory, and written back once.

Knows money and nothing of limits. A prepaid balance covers the worst case of everything that runs; a charge is taken
from the credit that ends first. An organization without a wallet pays nothing in advance and is charged in its rows
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, text, update

from undiced.account.ledger_tables import CREDITS, ENTRIES, WALLETS
from undiced.account.statements import Order, Statement, among

if TYPE_CHECKING:
    from undiced.account.exchange import Rows


_END = CREDITS.c.expires
LOCKED = Statement(select(WALLETS).where(among(WALLETS.c.org_id, "orgs")).order_by(WALLETS.c.org_id).with_for_update())
CREDITS_LEFT = Statement(  # what ends first goes first
    select(CREDITS.c.org_id, CREDITS.c.id, CREDITS.c.remaining, _END)
    .where(among(CREDITS.c.org_id, "orgs"), CREDITS.c.remaining > text("0"))
    .order_by(CREDITS.c.org_id, _END.is_(None), _END, CREDITS.c.created, CREDITS.c.id)
)
_WRITE = Statement(
    update(WALLETS)
    .where(WALLETS.c.org_id == bindparam("row"))
    .values(balance=bindparam("balance"), reserved=bindparam("reserved"))
)
_SPEND = Statement(update(CREDITS).where(CREDITS.c.id == bindparam("row")).values(remaining=bindparam("remaining")))
_NOTE = Statement(insert(ENTRIES), ("org_id", "at", "kind", "amount", "ref"))


@dataclass(slots=True)
class Credit:
    """What is left of a payment or a gift."""

    id: str
    remaining: int
    expires: int | None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Expiry:
    """A part of a credit that is lost. `ref`: what it is called in the entries; `due`: when its time passed."""

    ref: str
    due: int
    amount: int


@dataclass(slots=True)
class Purse:
    """An organization's balance. `reserved`: the worst case of what runs; a prepaid one lets nothing run beyond."""

    org_id: str
    prepaid: bool
    balance: int
    reserved: int
    credits: list[Credit]

    @property
    def free(self) -> int:
        """What may still be reserved."""
        return max(0, self.balance - self.reserved)

    def close(self, reserved: int, charge: int) -> int:
        """End a reservation with a charge; returns what was charged: a prepaid balance never goes below nothing."""
        self.reserved -= min(reserved, self.reserved)
        taken = min(charge, self.balance) if self.prepaid else charge
        self.balance -= taken
        self._spend(taken)
        return taken

    def expire(self, now: int) -> list[Expiry]:
        """End the credits whose time has passed, as far as no running request counts on them; what ended."""
        ended = []
        for credit in self.credits:
            if credit.expires is not None and credit.expires <= now and (lost := min(credit.remaining, self.free)):
                credit.remaining -= lost
                credit.changed = True
                self.balance -= lost
                name = f"{credit.id}@{credit.remaining}"  # what remains only falls: each is another name
                ended.append(Expiry(name, credit.expires, lost))
        return ended

    def _spend(self, amount: int) -> None:
        for credit in self.credits:
            taken = min(amount, credit.remaining)
            credit.remaining -= taken
            credit.changed = credit.changed or taken > 0
            amount -= taken


class Purses:
    """Balances as they were `LOCKED`, until the transaction ends, with their `CREDITS_LEFT`.

    Args:
        late: credit that ended before, and was counted on until now, ends now.
    """

    def __init__(self, wallets: Rows, credits: Rows, now: int, *, late: bool = False) -> None:
        self._now = now
        self._entries: list[dict[str, object]] = []
        self._all = {
            row["org_id"]: Purse(row["org_id"], bool(row["prepaid"]), row["balance"], row["reserved"], [])
            for row in wallets
        }
        for row in credits:
            if (owner := self._all.get(row["org_id"])) is not None:  # if not, it was made between the two statements
                owner.credits.append(Credit(row["id"], row["remaining"], row["expires"]))
        self._expire(late=late)  # who wrote about it last left nothing to lose, so all that is lost now was then

    def of(self, org_id: str) -> Purse | None:
        """The balance of an organization, if it has one."""
        return self._all.get(org_id)

    def charge(self, org_id: str, ref: str, reserved: int, charge: int) -> int:
        """End a request's reservation with a charge; returns what was charged."""
        purse = self._all.get(org_id)
        if purse is None:
            return charge
        taken = purse.close(reserved, charge)
        if taken:
            self._note(org_id, "charge", -taken, ref)
        return taken

    def changes(self) -> list[Order]:
        """What stores everything, in the order in which it was locked. Credit that has ended, and that what runs no
        longer counts on, ends now.
        """
        self._expire(late=True)
        purses = self._all.values()
        spent = [one for purse in purses for one in purse.credits if one.changed]
        return [
            *_WRITE.each([{"row": one.org_id, "balance": one.balance, "reserved": one.reserved} for one in purses]),
            *_SPEND.each([{"row": one.id, "remaining": one.remaining} for one in spent]),
            *_NOTE.each(self._entries),
        ]

    def _expire(self, *, late: bool) -> None:
        for purse in self._all.values():
            for one in purse.expire(self._now):
                self._note(purse.org_id, "expiry", -one.amount, one.ref, self._now if late else one.due)

    def _note(self, org_id: str, kind: str, amount: int, ref: str, at: int | None = None) -> None:
        when = self._now if at is None else at
        self._entries.append({"org_id": org_id, "at": when, "kind": kind, "amount": amount, "ref": ref})
