"""A ledger with one organization on a clock of the test's own, and what tests read of its books."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import event, func, select
from sqlalchemy.engine import Connection

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.database import Database, Transaction
from undiced.account.keys import KeyOrder
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Ask
from undiced.account.ledger_tables import CHARGES, CREDITS, ENTRIES, LIMITS, REQUESTS, WALLETS
from undiced.account.money import Rates
from undiced.account.statements import Order

OPERATOR = Actor.operator("tests")
MODEL = "m"
RATES = Rates(350_000_000, 100_000_000, 750_000_000)
START_MS = 1_800_000_000_000


class Clock:
    """The time of a database, as the test sets it."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.rules = True

    def rule(self, database: Database) -> None:
        """Let the transactions of a database see this time."""
        begun: Callable[..., Transaction] = database._begun

        def at(connection: Connection, *first: Order, **options: bool) -> Transaction:
            found = begun(connection, *first, **options)
            return replace(found, now_ms=self.now_ms) if self.rules else found

        database._begun = at  # type: ignore[method-assign]

    def stop(self) -> None:
        """Let the database's own time count from now on."""
        self.rules = False


@dataclass(slots=True)
class Books:
    """An organization's books."""

    accounts: Accounts
    ledger: Ledger
    clock: Clock
    org: str
    project: str
    key: str

    @classmethod
    def open(cls, accounts: Accounts, name: str = "acme", *, instance: str = "ins_test") -> Books:
        """A new organization with a key."""
        clock = Clock()
        clock.rule(accounts.database)
        org = accounts.organizations.create(OPERATOR, name)
        project = accounts.projects.show(OPERATOR, org.id, "default")
        key, _ = accounts.keys.create(OPERATOR, KeyOrder("inference", org.id, "default"))
        return cls(accounts, Ledger(accounts.database, instance), clock, org.id, project.id, key.id)

    def copied(self, folder: Path) -> Books:
        """The same books once more, of their own, on their own clock, and not safe against power cuts; of a file."""
        file = self.accounts.database.file
        assert file is not None
        accounts = Accounts(str(shutil.copy(file, folder / "accounts.db")))
        event.listen(accounts.database.engine, "connect", lambda made, _: made.execute("PRAGMA synchronous = OFF"))
        accounts.close()  # what it has connected before
        clock = Clock()
        clock.rule(accounts.database)
        return replace(self, accounts=accounts, clock=clock, ledger=Ledger(accounts.database, "ins_test"))

    def ask(self, prompt: int = 10, most: int = 100, expected: int = 20, **others: object) -> Ask:
        """A request of the key."""
        return Ask("r", self.org, self.project, self.key, MODEL, prompt, most, expected_tokens=expected, **others)  # type: ignore[arg-type]

    def price(self) -> None:
        """Set the price of the model."""
        self.accounts.prices.set(OPERATOR, MODEL, RATES)

    def levels(self) -> dict[tuple[str, str, int], tuple[int, int]]:
        """Level and time of each limit, by subject, metric and window."""
        rows = self._all(select(LIMITS))
        return {(row.subject, row.metric, row.window_s): (row.level, row.updated_ms) for row in rows}

    def balance(self) -> tuple[int, int] | None:
        """Balance and what of it is reserved."""
        rows = self._all(select(WALLETS.c.balance, WALLETS.c.reserved).where(WALLETS.c.org_id == self.org))
        return tuple(rows[0]) if rows else None

    def row(self, request: str) -> dict[str, object]:
        """A request's row."""
        (row,) = self._all(select(REQUESTS).where(REQUESTS.c.id == request))
        return dict(row._mapping) | {"held": json.loads(row.held)}

    def rows(self) -> dict[str, dict[str, object]]:
        """The rows of all requests."""
        return {row.id: dict(row._mapping) for row in self._all(select(REQUESTS))}

    def balance_spent(self) -> int:
        """What was charged in all."""
        return self._one(select(func.coalesce(func.sum(REQUESTS.c.charge), 0)).where(REQUESTS.c.org_id == self.org))

    def see_that_it_adds_up(self) -> None:
        """What must be true whenever nothing is being written: every sum is the sum of its parts."""
        entries = self._one(select(func.coalesce(func.sum(ENTRIES.c.amount), 0)).where(ENTRIES.c.org_id == self.org))
        remaining = self._one(
            select(func.coalesce(func.sum(CREDITS.c.remaining), 0)).where(CREDITS.c.org_id == self.org)
        )
        reserved = self._one(
            select(func.coalesce(func.sum(REQUESTS.c.pledged), 0)).where(
                REQUESTS.c.org_id == self.org, REQUESTS.c.state == "open"
            )
        )
        balance = self.balance()
        if balance is not None:
            assert balance == (entries, reserved)
            assert remaining == max(0, balance[0])
        names = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")
        counted = [func.count(), *(func.coalesce(func.sum(REQUESTS.c[name]), 0) for name in names)]
        ended = REQUESTS.c.state.in_(("settled", "recovered"))
        (found,) = self._all(select(*counted).where(REQUESTS.c.org_id == self.org, ended))
        sums = [func.coalesce(func.sum(CHARGES.c[name]), 0) for name in ("requests", *names)]
        (told,) = self._all(select(*sums).where(CHARGES.c.org_id == self.org))
        assert tuple(map(int, found)) == tuple(map(int, told))

    def _all(self, query):  # type: ignore[no-untyped-def]
        with self.accounts.database.read() as transaction:
            return transaction.connection.execute(query).all()

    def _one(self, query):  # type: ignore[no-untyped-def]
        return int(self._all(query)[0][0])
