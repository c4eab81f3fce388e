"""The prices that a transaction of the ledger needs: of models as of now, and those that open requests began under."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sqlalchemy import select

from undiced.account.ledger_tables import PRICES
from undiced.account.money import Rates
from undiced.account.statements import Statement, among

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.exchange import Rows
    from undiced.account.ledger_records import Ask

OF_MODELS = Statement(select(PRICES).where(among(PRICES.c.model, "models")))
_FREE = Rates(0, 0, 0)


def rates_of(row: RowMapping) -> Rates:
    """The rates of a price's row."""
    return Rates(**{each.name: row[each.name] for each in fields(Rates)})


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request will cost. `permille`: its class of service's factor; `price_id`: None if it costs nothing."""

    price_id: str | None
    rates: Rates
    permille: int

    def worst(self, ask: Ask) -> int:
        """Nanos at most: answers as long as may be, and whatever of the prompt is cached."""
        return self.rates.worst(ask.prompt_tokens, ask.max_tokens * ask.choices, self.permille)

    def longest(self, ask: Ask, nanos: int) -> int:
        """Tokens of each answer that an amount covers; -1 if not even the prompt."""
        return self.rates.most_output(nanos, ask.prompt_tokens, self.permille) // ask.choices


class Tariff:
    """The prices `OF_MODELS`."""

    def __init__(self, rows: Rows, now: int) -> None:
        self._rates = {row["id"]: rates_of(row) for row in rows}
        self._now: dict[str, str] = {
            row["model"]: row["id"]
            for row in rows
            if row["valid_from"] <= now and (row["valid_until"] is None or row["valid_until"] > now)
        }

    def terms(self, ask: Ask) -> Terms:
        """Those of now."""
        price_id = self._now.get(ask.model)
        rates = self.rates(price_id)
        return Terms(price_id, rates, rates.permille(ask.service_class))

    def rates(self, price_id: str | None) -> Rates:
        """The rates that a request began under."""
        return _FREE if price_id is None else self._rates[price_id]
