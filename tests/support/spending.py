"""Requests on a database's ledger without a server: what reports and invoices are made of."""

from __future__ import annotations

from contextlib import closing

from support.ledgers import Clock

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Ask, Outcome, Ticket

OPERATOR = Actor.operator("tests")


def spend(
    place: str,
    key: str,
    prompt: int,
    cached: int,
    output: int,
    *,
    model: str = "m",
    at: int | None = None,
    end: int = 0,
) -> None:
    """A request of a key. at: when it began, in Unix seconds, now by default; end: seconds later it ended."""
    with closing(Accounts(place)) as accounts:
        clock = Clock()
        if at is not None:
            clock.rule(accounts.database)
            clock.now_ms = at * 1000
        whose = accounts.keys.show(OPERATOR, key)
        assert whose.org_id and whose.project_id
        ledger = Ledger(accounts.database, "ins_tests")
        (ticket,) = ledger.run([Ask("r", whose.org_id, whose.project_id, key, model, prompt, output)])
        assert isinstance(ticket, Ticket), ticket
        clock.now_ms += end * 1000
        ledger.run([Outcome(ticket.id, "settled", "stop", prompt, cached, output)])


def begin(place: str, key: str, prompt: int, output: int, *, model: str = "m") -> None:
    """A request that does not end."""
    with closing(Accounts(place)) as accounts:
        whose = accounts.keys.show(OPERATOR, key)
        assert whose.org_id and whose.project_id
        ask = Ask("r", whose.org_id, whose.project_id, key, model, prompt, output)
        (ticket,) = Ledger(accounts.database, "ins_tests").run([ask])
        assert isinstance(ticket, Ticket), ticket
