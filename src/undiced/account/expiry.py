"""Expiry: credit whose time has passed is taken from balances, whether anybody asks for anything or not.

What reads balances counts it as gone from its second on, without writing. Here it is written down, with that second as
its time: by whoever next writes about the balance, a request or a server's periodic look, and once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from undiced.account.ledger_tables import CREDITS, WALLETS
from undiced.account.purses import CREDITS_LEFT, LOCKED, Purses

if TYPE_CHECKING:
    from undiced.account.database import Database, Transaction


def book(transaction: Transaction, org_id: str, *, late: bool = False) -> None:
    """Take from the balance of an organization what has ended of its credit. `late`: it was counted on until now."""
    wallets, credits = transaction.run(LOCKED.of(orgs=[org_id]), CREDITS_LEFT.of(orgs=[org_id]))
    transaction.run(*Purses(wallets, credits, transaction.now, late=late).changes())


def book_all(database: Database) -> int:
    """The same for every organization, each in a transaction of its own; returns how many had something to lose.

    Raises:
        DatabaseAwayError, DatabaseError: the rest is left for another time.
    """
    with database.read() as transaction:
        wallets = CREDITS.join(WALLETS, WALLETS.c.org_id == CREDITS.c.org_id)
        ended = (CREDITS.c.remaining > 0, CREDITS.c.expires <= transaction.now)
        free = WALLETS.c.balance > WALLETS.c.reserved  # what runs counts on the rest: it goes when that has ended
        query = select(CREDITS.c.org_id).select_from(wallets).where(*ended, free).distinct().order_by(CREDITS.c.org_id)
        orgs = list(transaction.connection.execute(query).scalars())
    for org_id in orgs:
        with database.write() as transaction:
            book(transaction, org_id)
    return len(orgs)
