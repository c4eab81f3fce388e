"""A process with a ledger, to be killed: it admits answers and hands tokens over as fast as it can, and says on its
output what a client has got.

    python ledger_process.py DATABASE FOLDER ORG PROJECT KEY
"""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

from undiced.account.accounts import Accounts
from undiced.account.clerk import Clerk
from undiced.account.journal import Journal, journal_of
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Ask, Outcome, Ticket
from undiced.account.progress import Progress
from undiced.account.recovery import recover

STREAMS = 4


def main(url: str, place: str, org: str, project: str, key: str) -> None:
    folder, accounts = Path(place), Accounts(url)
    instance = accounts.instances.start().id
    ledger = Ledger(accounts.database, instance)
    recover(accounts.database, folder)
    progress, clerk = Progress(folder, instance), Clerk(ledger, Journal(journal_of(folder, instance)))
    clerk.start()
    lock = threading.Lock()

    def stream(seed: int) -> None:
        draw = random.Random(seed)
        while True:
            slot, count = progress.take(), draw.randrange(1, 60)
            assert slot is not None
            ask = Ask("r", org, project, key, "m", 10, count, expected_tokens=20, slot=slot)
            ticket = clerk.hand_in(ask).result()
            assert isinstance(ticket, Ticket)
            for tokens in range(1, count + 1):
                progress.store(slot, tokens)
                with lock:
                    sys.stdout.write(f"{ticket.id} {tokens}\n")
                    sys.stdout.flush()
            done = clerk.hand_in(Outcome(ticket.id, "settled", "stop", 10, 0, count))
            done.add_done_callback(lambda _, slot=slot: progress.give(slot))

    threads = [threading.Thread(target=stream, args=(seed,), daemon=True) for seed in range(STREAMS)]
    for thread in threads:
        thread.start()
    print("ready", file=sys.stderr, flush=True)
    threads[0].join()


if __name__ == "__main__":
    main(*sys.argv[1:])
