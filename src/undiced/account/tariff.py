"""The prices that a transaction of the ledger needs: of models as of now, and those that open requests began under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from undiced.account.ledger_tables import PRICES
from undiced.account.money import Rates

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.absences import Absences
    from undiced.account.database import Transaction

FREE = Rates(0, 0, 0)
_OF_MODELS = select(PRICES).where(PRICES.c.model.in_(bindparam("models", expanding=True)))


def rates_of(row: RowMapping) -> Rates:
    """The rates of a price's row."""
    return Rates(**{each.name: row[each.name] for each in fields(Rates)})


class Tariff:
    """See the file's head."""

    def __init__(self, transaction: Transaction, absences: Absences, models: Iterable[str]) -> None:
        now, prices = transaction.now, absences.prices
        wanted = set(models)
        if new := sorted(wanted - prices.keys()):
            prices.update({model: [] for model in new})
            for row in transaction.connection.execute(_OF_MODELS, {"models": new}).mappings():
                prices[row["model"]].append(row)
        rows = [row for model in wanted for row in prices[model]]
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
