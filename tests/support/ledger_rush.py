"""A process that asks the ledger for as much as it gives, until it was refused often, and settles what it got as it was
asked for; says how many requests that were.

python ledger_rush.py DATABASE ORG PROJECT KEY AT_ONCE
"""

from __future__ import annotations

import sys

from undiced.account.accounts import Accounts
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Ask, Outcome, Ticket

REFUSALS = 40


def main(url: str, org: str, project: str, key: str, at_once: str) -> None:
    accounts, got, refused = Accounts(url), 0, 0
    ledger = Ledger(accounts.database, accounts.instances.start().id)
    while refused < REFUSALS:
        asks = [Ask("r", org, project, key, "m", 7, 3, expected_tokens=3) for _ in range(int(at_once))]
        tickets = [answer for answer in ledger.run(asks) if isinstance(answer, Ticket)]
        ledger.run([Outcome(ticket.id, "settled", "length", 7, 0, 3) for ticket in tickets])
        got, refused = got + len(tickets), refused + len(asks) - len(tickets)
    print(got)


if __name__ == "__main__":
    main(*sys.argv[1:])
