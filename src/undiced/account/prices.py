"""Prices: what a million tokens of a model cost, each from a time on until the next one. Set by the operator; a price
that was ever valid is never changed.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from undiced.account.audit import note
from undiced.account.changes import lock, raise_counter
from undiced.account.errors import PermissionDeniedError
from undiced.account.ledger_tables import PRICES, WALLETS
from undiced.account.money import Rates
from undiced.account.names import FOREVER
from undiced.account.secret_text import new_id
from undiced.account.tariff import rates_of
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction

_MODEL = re.compile(r"[!-~]{1,200}")
_CURRENCY = re.compile(r"[A-Z]{3}")
USUAL_CURRENCY = "USD"
_MOST = 10**15  # nanos per million tokens: a million units
_MOST_PERMILLE = 100_000
_LATE_S = 300  # a price may begin this long ago: "now", written by hand


@dataclass(frozen=True, slots=True)
class Price:
    """A price, in nanos of the currency's unit. `valid_until`: None until another is set."""

    id: str
    model: str
    currency: str
    valid_from: int
    valid_until: int | None
    rates: Rates


class Prices:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(
        self, actor: Actor, model: str, rates: Rates, *, currency: str = USUAL_CURRENCY, valid_from: int | None = None
    ) -> Price:
        """A price from a time on, now where none is given; the one before it ends then.

        Raises:
            InvalidRequestError: negative or absurd rates, a second currency, a time that has passed or that another
                price begins at or after. PermissionDeniedError: the actor is not the operator.
        """
        _see_operator(actor)
        _see_rates(rates)
        if not _MODEL.fullmatch(model):
            raise InvalidRequestError("This is no name of a model.", remedy="See GET /v1/models.", param="model")
        with self._database.write() as transaction:
            see_currency(transaction, currency)
            begins = transaction.now if valid_from is None else valid_from
            last = self._last(transaction, model)
            _see_time(begins, transaction.now, last)
            if last is not None:
                ended = replace(last, valid_until=begins)
                here = PRICES.c.id == last.id
                transaction.connection.execute(update(PRICES).where(here).values(valid_until=begins))
                note(transaction, actor, "price.end", None, before=last, after=ended)
            made = Price(f"pri_{new_id()}", model, currency, begins, None, rates)
            values = {name: getattr(made, name) for name in ("id", "model", "currency", "valid_from", "valid_until")}
            transaction.connection.execute(insert(PRICES).values(values | asdict(rates)))
            raise_counter(transaction)
            note(transaction, actor, "price.set", None, after=made)
            return made

    def cancel(self, actor: Actor, model: str) -> Price:
        """Take back the last price of a model, which has not begun yet; the one before it goes on.

        Raises:
            InvalidRequestError: there is none. PermissionDeniedError: the actor is not the operator.
        """
        _see_operator(actor)
        try:
            with self._database.write() as transaction:
                return self._cancel(transaction, actor, model)
        except IntegrityError:  # it began while this waited for its turn, and requests have begun under it
            raise _begun(model) from None

    def _cancel(self, transaction: Transaction, actor: Actor, model: str) -> Price:
        lock(transaction)  # before the price: in the same order as `set`
        last = self._last(transaction, model) if model.isprintable() else None
        if last is None or last.valid_from <= transaction.now:
            raise _begun(model)
        transaction.connection.execute(delete(PRICES).where(PRICES.c.id == last.id))
        note(transaction, actor, "price.cancel", None, before=last)
        here = (PRICES.c.model == model) & (PRICES.c.valid_until == last.valid_from)
        transaction.connection.execute(update(PRICES).where(here).values(valid_until=None))
        raise_counter(transaction)
        return last

    def currency(self) -> str | None:
        """The one that prices and balances are in; None before the first of them."""
        with self._database.read() as transaction:
            return known_currency(transaction)

    def list(self, *, past: bool = False) -> list[Price]:
        """Those that are or will be valid, by model and time; `past`: those too that were. Prices are no secret."""
        query = select(PRICES).order_by(PRICES.c.model, PRICES.c.valid_from)
        with self._database.read() as transaction:
            if not past:
                end = PRICES.c.valid_until
                query = query.where(end.is_(None) | (end > transaction.now))
            return [_price(row) for row in transaction.connection.execute(query).mappings()]

    def _last(self, transaction: Transaction, model: str) -> Price | None:
        query = select(PRICES).where(PRICES.c.model == model, PRICES.c.valid_until.is_(None)).with_for_update()
        row = transaction.connection.execute(query).mappings().one_or_none()
        return None if row is None else _price(row)


def _begun(model: str) -> InvalidRequestError:
    remedy = "A price that has begun stays; set another one from now on."
    return InvalidRequestError(f"No price of '{model[:80]}' is to begin.", remedy=remedy, param="model")


def _price(row: RowMapping) -> Price:
    names = ("id", "model", "currency", "valid_from", "valid_until")
    return Price(**{name: row[name] for name in names}, rates=rates_of(row))


def see_currency(transaction: Transaction, currency: str) -> None:
    """See that a currency is the only one here, until this transaction ends.

    Raises:
        InvalidRequestError: it is another one than that of prices or balances, or none.
    """
    if not _CURRENCY.fullmatch(currency):
        remedy = "Use three capital letters, as USD."
        raise InvalidRequestError(f"'{currency[:20]}' is no currency.", remedy=remedy, param="currency")
    found = first_currency(transaction)
    if found not in (None, currency):
        raise InvalidRequestError(f"Prices and balances here are in {found}.", remedy=f"Use {found}.", param="currency")


def first_currency(transaction: Transaction) -> str | None:
    """The same as `known_currency`, and no other one until this transaction ends: a first price or balance may be made
    now.
    """
    lock(transaction)
    return known_currency(transaction)


def known_currency(transaction: Transaction) -> str | None:
    """The currency that prices and balances are in, if there is one yet."""
    queries = (select(table.c.currency).limit(1) for table in (PRICES, WALLETS))
    found = (transaction.connection.execute(query).scalar() for query in queries)
    return next((one for one in found if one is not None), None)


def _see_operator(actor: Actor) -> None:
    if actor.org_id is not None:
        raise PermissionDeniedError("Prices are set by the operator.", remedy="Ask whoever runs the server.")
    actor.need("orgs:write")


def _see_rates(rates: Rates) -> None:
    for name, number in asdict(rates).items():
        factor = name.endswith("_permille")
        if not 0 <= number <= (_MOST_PERMILLE if factor else _MOST):
            what = "a factor from 0 to 100" if factor else "what a million tokens cost, from 0 to a million"
            raise InvalidRequestError(f"{name} is no price.", remedy=f"Give {what}.", param=name)


def _see_time(begins: int, now: int, last: Price | None) -> None:
    if begins >= FOREVER:
        raise InvalidRequestError("This time is too far away.", remedy="Give an earlier one.", param="valid_from")
    if begins < now - _LATE_S:
        remedy = "Prices begin now or later: what was charged stays as it was."
        raise InvalidRequestError("This time has passed.", remedy=remedy, param="valid_from")
    if last is not None and begins <= last.valid_from:
        remedy = "Give a later time."
        raise InvalidRequestError("Another price begins then or later.", remedy=remedy, param="valid_from")
