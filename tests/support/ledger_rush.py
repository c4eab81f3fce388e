"""A process that asks the ledger for as much as it gives, until it was refused often; says how many requests it got.

python ledger_rush.py DATABASE ORG PROJECT KEY AT_ONCE
"""

from __future__ import annotations

import sys

from undiced.account.accounts import Accounts
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Ask, Ticket

REFUSALS = 40


def main(url: str, org: str, project: str, key: str, at_once: str) -> None:
    accounts, got, refused = Accounts(url), 0, 0
    ledger = Ledger(accounts.database, accounts.instances.start().id)
    while refused < REFUSALS:
        asks = [Ask("r", org, project, key, "m", 7, 3, expected_tokens=3) for _ in range(int(at_once))]
        tickets = sum(isinstance(answer, Ticket) for answer in ledger.run(asks))
        got, refused = got + tickets, refused + len(asks) - tickets
    print(got)


if __name__ == "__main__":
    main(*sys.argv[1:])
