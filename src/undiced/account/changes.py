"""The counter of changes: raised by whatever changes what callers may do and what binds them, in the same transaction.
Whoever remembers some of that looks at it and forgets it when it moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Integer, Text, cast, literal_column, select, update

from undiced.account.tables import FACTS

if TYPE_CHECKING:
    from undiced.account.database import Transaction

_NAME = "changes"
_COUNTER = select(FACTS.c.value).where(FACTS.c.name == literal_column(f"'{_NAME}'"))


def raise_counter(transaction: Transaction) -> None:
    """Tell all processes that callers changed."""
    higher = cast(cast(FACTS.c.value, Integer) + 1, Text)
    transaction.connection.execute(update(FACTS).where(FACTS.c.name == _NAME).values(value=higher))


def lock(transaction: Transaction) -> None:
    """Let nobody else raise the counter until this transaction ends: for what must hold for all together."""
    transaction.connection.execute(_COUNTER.with_for_update()).all()


def counter(transaction: Transaction) -> int:
    """What the counter says."""
    return int(transaction.connection.execute(_COUNTER).scalar_one())
