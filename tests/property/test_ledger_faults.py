"""Scheduler, clerk, journal, progress file and ledger together, on virtual clocks, while all fails that can: each
request is counted once, with what its customer got, and every sum is the sum of its parts.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.databases import PEPPER, sqlite_template  # noqa: F401
from support.ledger_world import World, clerks_clock
from support.ledgers import OPERATOR, RATES, Books

from undiced.account.accounts import Accounts

SEEDS = int(os.environ.get("UNDICED_TESTS_SEEDS", "10000"))
FEW = 25
CAPACITY = 1_000_000
EVENTS = 50


@pytest.fixture(scope="module")
def template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:  # noqa: F811
    """Books with limits, a price and credit, in a file that seeds copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDICED_PEPPER", PEPPER)
        place = tmp_path_factory.mktemp("books") / "accounts.db"
        books = Books.open(Accounts(str(shutil.copy(sqlite_template, place))))
        books.price()
        books.accounts.limits.set(OPERATOR, books.org, {"tpd": CAPACITY, "concurrency": 5})
        books.accounts.credits.add(OPERATOR, books.org, RATES.charge(100, 0, 400))
        books.accounts.close()
        yield books


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory, where there is such a place."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as made:
        yield Path(made)


def play(template: Books, place: Path, seed: int) -> Counter[str]:
    """One world; how its requests ended."""
    books = template.copied(place)
    try:
        with clerks_clock(books):
            world = World(books, place / "ledger", seed)
            world.run(EVENTS)
            world.end()
            return see(world)
    finally:
        books.accounts.close()
        for left in place.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def see(world: World) -> Counter[str]:
    books, ends = world.books, Counter[str]()
    rows = books.rows()
    assert not rows.keys() - world.customers.keys()
    charged = 0
    for name, customer in world.customers.items():
        row = rows.get(name)
        state = "none" if row is None else str(row["state"])
        ends[state] += 1
        assert state != "open", customer
        if row is None or state == "released":
            assert not customer.got, (customer, row)
            continue
        assert not customer.refused, (customer, row)
        assert row["completion_tokens"] == customer.got, (customer, row)
        counts = [int(str(row[each])) for each in ("prompt_tokens", "cached_tokens", "completion_tokens")]
        assert row["charge"] <= RATES.charge(*counts)
        charged += counts[0] + counts[2]
    books.see_that_it_adds_up()
    balance = books.balance()
    assert balance is not None
    assert balance[1] == 0
    levels = books.levels()
    assert levels["organization", "concurrency", 0][0] == 0
    level = levels["organization", "tokens", 86_400][0]
    assert CAPACITY - level // 86_400_000 == charged  # its clock stands: nothing was gained
    return ends


def play_all(template: Books, folder: Path, seeds: range) -> Counter[str]:
    ends = Counter[str]()
    for seed in seeds:
        try:
            ends += play(template, folder, seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    return ends


def test_whatever_fails_each_request_is_counted_once(
    template: Books, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    ends = play_all(template, folder, range(FEW))
    assert min(ends[state] for state in ("settled", "released", "recovered", "none")) > 0, ends


@pytest.mark.slow
@pytest.mark.timeout(20_000)
def test_whatever_fails_in_many_worlds(template: Books, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    play_all(template, folder, range(FEW, FEW + SEEDS))
