"""Paging: a part of a list, read as a part: what follows one of its rows, and so many.

A list has an order that stays, and every row of it an id. Where it may be narrowed, a part may still follow a row that
is no longer in it: so a list that changes while it is read is read to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Column, tuple_

from undiced.account.reach import one
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, RowMapping, Select

    from undiced.account.database import Transaction

    Order = Sequence[Column[str] | Column[int]]

LIST_MOST = 1000  # rows of a list that may be long


def part(
    transaction: Transaction,
    whole: Select[tuple[object, ...]],
    order: Order,
    narrowed: Sequence[ColumnElement[bool]],
    after: str | None,
    limit: int | None,
) -> Sequence[RowMapping]:
    """Rows of a list.

    Args:
        whole: selects the list with all that was ever in it and exists for who asks, columns `id` and those of `order`
            among it. order: what it is sorted by; no two rows are equal in it. narrowed: what rows have to be as well.
        after: the id of the row before the first; None: from the beginning. limit: most rows; None: all.

    Raises:
        InvalidRequestError: the whole list has no such row.
    """
    query = whole.where(*narrowed).order_by(*order)
    if after is not None:
        here = whole.selected_columns["id"] == after
        last = one(transaction, whole.where(here)) if after.isprintable() else None
        if last is None:
            raise unknown_after(after)
        query = query.where(tuple_(*order) > tuple_(*(last[column.name] for column in order)))
    return transaction.connection.execute(query.limit(limit)).mappings().all()


def unknown_after(after: str) -> InvalidRequestError:
    """The error for a page behind what is not in the list."""
    remedy = "Give the id of the last one of the page before."
    return InvalidRequestError(f"Nothing in the list has the id '{after[:80]}'.", remedy=remedy, param="after")
