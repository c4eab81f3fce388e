"""What a request costs on the ledger: admission and settlement alone, and many of one busy organization together.

    python benchmarks/ledger.py [--rows 1000000] [--calls 300] [--seconds 5] [--db URL] [--bare]

Drives the ledger without HTTP, on a SQLite file in a temporary folder, or on an empty database of yours. The
organization has limits of three kinds and a prepaid balance, and the model a price; with `--bare` nothing of it. Ends
in one JSON line: `alone_ms` and `alone_cpu_ms` are the medians of one admission with its settlement, each in a
transaction of its own; `admissions_per_second` those that a clerk does for 64 callers at once, each settled, by the
clock and by this process's processor time; then the same with so many rows of earlier requests, and what a report of
a month takes then.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path

from sqlalchemy import insert

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.clerk import Clerk
from undiced.account.journal import Journal
from undiced.account.keys import KeyOrder
from undiced.account.ledger import Answer, Ledger
from undiced.account.ledger_records import Ask, Outcome, Ticket
from undiced.account.ledger_tables import CHARGES, REQUESTS
from undiced.account.money import NANOS, Rates

AT_ONCE = 64
BATCH = 10_000
DAYS = 30
OPERATOR = Actor.operator("benchmark")
LIMITS = {"alone_ms": {"sqlite": 3.0, "postgresql": 5.0}, "usage_s": {"sqlite": 1.0, "postgresql": 1.0}}
LEAST = {"admissions_per_second": {"sqlite": 1000, "postgresql": 500}}


class Shop:
    """One organization's requests."""

    def __init__(self, accounts: Accounts, *, bare: bool) -> None:
        self.accounts = accounts
        self.org = accounts.organizations.create(OPERATOR, "acme").id
        self.project = accounts.projects.show(OPERATOR, self.org, "default").id
        self.key = accounts.keys.create(OPERATOR, KeyOrder("inference", self.org, "default"))[0].id
        self.ledger = Ledger(accounts.database, accounts.instances.start().id)
        if not bare:
            most = {"rpm": 10**9, "tpm": 10**10, "concurrency": 10**6}
            accounts.limits.set(OPERATOR, self.org, most)
            accounts.prices.set(OPERATOR, "m", Rates(350_000_000, 100_000_000, 750_000_000))
            accounts.credits.add(OPERATOR, self.org, 1_000_000 * NANOS)

    def ask(self) -> Ask:
        """A request."""
        return Ask("r", self.org, self.project, self.key, "m", 1000, 400, expected_tokens=200, slot=0)

    def alone(self, calls: int) -> dict[str, float]:
        """One after another."""
        wall, cpu = [], []
        for _ in range(calls):
            began, began_cpu = time.perf_counter(), time.process_time()
            (ticket,) = self.ledger.run([self.ask()])
            assert isinstance(ticket, Ticket), ticket
            self.ledger.run([outcome(ticket)])
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - began_cpu)
        return {"alone_ms": statistics.median(wall) * 1000, "alone_cpu_ms": statistics.median(cpu) * 1000}

    def together(self, seconds: float, folder: Path) -> dict[str, float]:
        """Many at once, through a clerk."""
        clerk = Clerk(self.ledger, Journal(folder / "benchmark.journal"))
        clerk.start()
        asked: deque[Future[Answer]] = deque()
        count, began, began_cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            while len(asked) < AT_ONCE:
                asked.append(clerk.hand_in(self.ask()))
            ticket = asked.popleft().result()
            assert isinstance(ticket, Ticket), ticket
            clerk.hand_in(outcome(ticket))
            count += 1
        clerk.close()
        took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
        return {"admissions_per_second": count / took, "admissions_per_cpu_second": count / took_cpu}

    def fill(self, rows: int) -> None:
        """So many requests of this month's days."""
        now_ms, day_ms = int(time.time() * 1000), 86_400_000
        row: dict[str, object] = dict.fromkeys(("request_id", "instance_id", "finish_reason"), "x")
        row |= {"org_id": self.org, "project_id": self.project, "key_id": self.key, "model": "m", "slot": 1}
        row |= {"state": "settled", "permille": 1000, "price_id": None, "held": "{}", "held_tokens": 0, "reserved": 0}
        row |= {"pledged": 0, "prompt_tokens": 1000, "cached_tokens": 0, "completion_tokens": 200}
        row |= {"reasoning_tokens": 0, "charge": 500_000}
        for first in range(0, rows, BATCH):
            some = []
            for at in range(first, min(rows, first + BATCH)):
                created = now_ms - at * DAYS * day_ms // rows
                some.append({**row, "id": f"req_{at}", "created_ms": created, "finished_ms": created})
            with self.accounts.database.write() as transaction:
                transaction.connection.execute(insert(REQUESTS), some)
        sums = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")
        days = [
            {
                "org_id": self.org,
                "project_id": self.project,
                "key_id": f"key{at % 40}",
                "model": f"m{at % 5}",
                "day": at,
            }
            | dict.fromkeys(sums, rows // DAYS)
            for at in range(now_ms // day_ms - DAYS, now_ms // day_ms + 1)
        ]
        with self.accounts.database.write() as transaction:
            transaction.connection.execute(insert(CHARGES), days)

    def usage_s(self) -> float:
        """A report of a month, by model and day."""
        until = int(time.time()) // 86_400 + 1
        began = time.perf_counter()
        assert self.accounts.usage.report(OPERATOR, self.org, since=until - DAYS, until=until, by=("model", "day"))
        return time.perf_counter() - began


def outcome(ticket: Ticket) -> Outcome:
    """An answer's end."""
    return Outcome(ticket.id, "settled", "stop", 1000, 500, 150)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--db", help="an empty database; a SQLite file of its own by default")
    parser.add_argument("--bare", action="store_true", help="no limits, no balance, no price")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("UNDICED_PEPPER", "pepper-of-the-benchmark-" + "x" * 32)
        accounts = Accounts(given.db or str(Path(folder) / "accounts.db"))
        shop = Shop(accounts, bare=given.bare)

        def measure() -> dict[str, float]:
            return shop.alone(given.calls) | shop.together(given.seconds, Path(folder))

        found = measure()
        if given.rows:
            shop.fill(given.rows)
            found |= {f"filled_{name}": number for name, number in measure().items()}
            found["usage_s"] = statistics.median(shop.usage_s() for _ in range(5))
        kind = accounts.database.dialect
        accounts.close()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    facts = {"commit": commit, "cpu": platform.processor() or platform.machine(), "database": kind, "bare": given.bare}
    shares = {f"{name}_share_of_limit": found[name] / limit[kind] for name, limit in LIMITS.items() if name in found}
    shares |= {f"{name}_share_of_least": found[name] / least[kind] for name, least in LEAST.items()}
    rounded = {name: round(number, 3) for name, number in {**found, **shares}.items()}
    print(json.dumps({**facts, "rows": given.rows, **rounded}))


if __name__ == "__main__":
    main()
