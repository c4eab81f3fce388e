"""Usage per minute, hour and day, on both databases."""

from __future__ import annotations

import pytest
from support.ledgers import MODEL, OPERATOR, START_MS, Books

from undiced.account.keys import KeyOrder
from undiced.account.ledger_records import Ask, Outcome
from undiced.account.periods import WIDTHS, Choice
from undiced.core.errors import InvalidRequestError

START = START_MS // 1000
DAY = START // 86_400 * 86_400


@pytest.fixture
def books(accounts) -> Books:
    """Three requests: two in one minute, of two keys; one two hours later, of another model."""
    made = Books.open(accounts)
    made.price()
    other, _ = accounts.keys.create(OPERATOR, KeyOrder("inference", made.org, "default"))
    for key, model, later_s in ((made.key, MODEL, 0), (other.id, MODEL, 1), (made.key, "n", 7200)):
        made.clock.now_ms = START_MS + later_s * 1000
        (ticket,) = made.ledger.run([Ask("r", made.org, made.project, key, model, 10, 5)])
        (running,) = made.ledger.run([Ask("r", made.org, made.project, key, model, 10, 5)])
        made.ledger.run([Outcome(ticket.id, "settled", "stop", 10, 4, 5), Outcome(running.id, "released", "error")])
    return made


def sums(books: Books, width: str, **choice: object) -> dict[tuple, tuple[int, ...]]:
    end = DAY + 2 * 86_400
    rows = books.accounts.periods.sums(OPERATOR, Choice(**{"org": books.org, **choice}), width, DAY, end)
    counts = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens")
    return {(row.start, *row.group.values()): tuple(getattr(row, name) for name in counts) for row in rows}


def test_every_width_tells_the_same_sum_in_its_own_periods(books):
    for width, length in WIDTHS.items():
        found = sums(books, width)
        assert {start % length for (start,) in found} == {0}
        assert [sum(column) for column in zip(*found.values(), strict=True)] == [3, 30, 12, 15]
        first = min(found)[0]
        assert first <= START < first + length
        assert found[(first,)] == {"1d": (3, 30, 12, 15)}.get(width, (2, 20, 8, 10))


def test_groups_and_filters_go_together(books):
    assert {key[1:]: value[0] for key, value in sums(books, "1d", by=("model",)).items()} == {(MODEL,): 2, ("n",): 1}
    by_key = sums(books, "1h", by=("key_id", "model"), keys=[books.key])
    assert [key[1:] for key in sorted(by_key)] == [(books.key, MODEL), (books.key, "n")]
    assert sum(value[0] for value in sums(books, "1m", models=["n"]).values()) == 1
    assert sums(books, "1m", models=["none"]) == {}
    assert sum(value[0] for value in sums(books, "1d", projects=["default"], keys=[books.key]).values()) == 2


def test_of_all_organizations_nothing_narrower_can_be_asked(books):
    assert sum(value[0] for value in sums(books, "1h", org=None).values()) == 3
    with pytest.raises(InvalidRequestError, match="one organization"):
        sums(books, "1h", org=None, projects=["default"])
