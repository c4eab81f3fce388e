"""The prices that a transaction of the ledger needs: of models as of now, and those that open requests began under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from sqlalchemy import BindParameter, and_, bindparam, or_, select

from undiced.account.ledger_tables import PRICES
from undiced.account.money import Rates

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.database import Transaction

FREE = Rates(0, 0, 0)
_NOW: BindParameter[int] = bindparam("now")
_VALID = and_(PRICES.c.valid_from <= _NOW, or_(PRICES.c.valid_until.is_(None), PRICES.c.valid_until > _NOW))
_OF_MODELS = and_(PRICES.c.model.in_(bindparam("models", expanding=True)), _VALID)
_READ = select(PRICES).where(or_(_OF_MODELS, PRICES.c.id.in_(bindparam("ids", expanding=True))))


def rates_of(row: RowMapping) -> Rates:
    """The rates of a price's row."""
    return Rates(**{each.name: row[each.name] for each in fields(Rates)})


class Tariff:
    """See the file's head."""

    def __init__(self, transaction: Transaction, models: Iterable[str], ids: Iterable[str]) -> None:
        now = transaction.now
        wanted = {"now": now, "models": sorted(set(models)), "ids": sorted(set(ids))}
        rows = transaction.connection.execute(_READ, wanted).mappings().all()
        self._rates = {row["id"]: rates_of(row) for row in rows}
        self._now: dict[str, str] = {
            row["model"]: row["id"]
            for row in rows
            if row["valid_from"] <= now and (row["valid_until"] is None or row["valid_until"] > now)
        }

    def of(self, model: str) -> tuple[str | None, Rates]:
        """The price of a model now, its id and its rates; one without a price costs nothing."""
        price_id = self._now.get(model)
        return price_id, self.rates(price_id)

    def rates(self, price_id: str | None) -> Rates:
        """The rates that a request began under."""
        return FREE if price_id is None else self._rates[price_id]
