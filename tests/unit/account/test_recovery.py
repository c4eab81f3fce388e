"""Processes that are killed while answers stream: each request is counted once, with what its client got."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select
from support.ledgers import OPERATOR, Books

from undiced.account import recovery
from undiced.account.accounts import Accounts
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Ticket
from undiced.account.ledger_tables import REQUESTS
from undiced.account.progress import Progress
from undiced.account.recovery import recover

PROGRAM = Path(__file__).parents[2] / "support" / "ledger_process.py"
KILLS = int(os.environ.get("UNDICED_TESTS_KILLS", "350"))


def lives(books: Books, url: str, folder: Path, seconds: float) -> dict[str, int]:
    """Let a process live for a while; what its clients got of each request, by the last line that reached them."""
    command = [sys.executable, str(PROGRAM), url, str(folder), books.org, books.project, books.key]
    with (folder / "got").open("w+") as got:
        process = subprocess.Popen(command, stdout=got, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "ready\n"
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stderr.close()
        got.seek(0)
        lines = [line.split() for line in got.read().splitlines() if line.count(" ") == 1]
    return {request: int(tokens) for request, tokens in lines}


@pytest.mark.timeout(20_000)
@pytest.mark.parametrize("kills", [2, pytest.param(KILLS, marks=pytest.mark.slow)])
def test_a_killed_process_leaves_each_request_counted_once_with_what_the_client_got(
    accounts: Accounts, url: str, tmp_path: Path, kills: int
) -> None:
    books = Books.open(accounts)
    books.price()
    draw, got = random.Random(1), dict[str, int]()
    folder = tmp_path / "progress"
    folder.mkdir()
    for _ in range(kills):
        got |= lives(books, url, folder, draw.uniform(0.05, 0.6))
    recover(accounts.database, folder)
    with accounts.database.read() as transaction:
        rows = transaction.connection.execute(select(REQUESTS)).mappings().all()
    assert len(rows) >= kills
    assert {row["state"] for row in rows} <= {"settled", "recovered", "released"}
    for row in rows:
        counted = row["completion_tokens"]
        assert counted - got.get(row["id"], 0) in (0, 1), dict(row)  # the store comes before the write
    assert not got.keys() - {row["id"] for row in rows}
    books.see_that_it_adds_up()
    assert not list(folder.glob("*.progress"))


def test_what_a_machine_that_never_comes_back_left_open_is_released_after_a_day(
    accounts: Accounts, tmp_path: Path
) -> None:
    gone, slow = accounts.instances.start(), accounts.instances.start()
    books = Books.open(accounts, instance=gone.id)
    books.clock.now_ms = int(time.time() * 1000)
    accounts.limits.set(OPERATOR, books.org, {"concurrency": 2})
    (ticket,) = books.ledger.run([books.ask()])
    (other,) = Ledger(accounts.database, slow.id).run([books.ask()])
    assert isinstance(ticket, Ticket) and isinstance(other, Ticket)
    books.clock.now_ms += 86_300_000
    assert recover(accounts.database, tmp_path) == 0
    accounts.instances.beat(slow)
    books.clock.now_ms += 200_000
    assert recover(accounts.database, tmp_path) == 1
    assert (books.row(ticket.id)["state"], books.row(other.id)["state"]) == ("released", "open")
    assert books.levels()["organization", "concurrency", 0][0] == 1


def test_a_living_process_settles_what_a_dead_one_left(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_AGAIN_S", 0.01)
    books = Books.open(accounts, instance="ins_dead")
    dead = Progress(tmp_path, "ins_dead")
    slot = dead.take()
    assert slot is not None
    (ticket,) = books.ledger.run([books.ask(slot=slot)])
    assert isinstance(ticket, Ticket)
    dead.store(slot, 3)
    watch = recovery.Watch(accounts.database, tmp_path)
    time.sleep(0.1)
    assert books.row(ticket.id)["state"] == "open", "it lives"
    dead.close()
    end = time.monotonic() + 20
    while (row := books.row(ticket.id))["state"] == "open" and time.monotonic() < end:
        time.sleep(0.01)
    watch.close()
    assert (row["state"], row["completion_tokens"], row["cached_tokens"]) == ("recovered", 3, 10)


def test_a_living_process_books_credit_that_has_ended(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_AGAIN_S", 0.01)
    books = Books.open(accounts)
    accounts.credits.add(OPERATOR, books.org, 5, expires=books.clock.now_ms // 1000 + 1)
    books.clock.now_ms += 1000
    watch = recovery.Watch(accounts.database, tmp_path)
    end = time.monotonic() + 20
    while books.balance() != (0, 0) and time.monotonic() < end:
        time.sleep(0.01)
    watch.close()
    assert books.balance() == (0, 0)
