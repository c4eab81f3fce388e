"""Rules of verdicts: each can come out any way, by its figures alone."""

import pytest

from undiced.machine.interval import Interval
from undiced.study.claims.verdict import Said, Verdict, bounded, edge, judged, least, most, together


@pytest.mark.parametrize(
    ("ends", "conditions", "kind", "words"),
    [
        ((95, 100, 105), (), "reproduced", "about 100"),
        ((80, 100, 105), ("it is warm",), "holds only if", "it is warm"),
        ((10, 20, 30), ("it is warm", "it rains"), "holds only if", "it is warm, and it rains"),
        ((10, 20, 30), ("it is warm", None), "not reproduced", "about 100, 0.21 times what it takes"),
        ((10, 20, 30), (), "not reproduced", "0.21 times"),
        ((80, 100, 105), (), "holds only if", "what is assumed turns out well"),
    ],
)
def test_an_interval_is_judged_by_what_was_said(ends, conditions, kind, words):
    found = judged(Interval(*ends), Said.at_least(100), "about 100", conditions)
    assert found.kind == kind and words in found.words


def test_what_was_said_has_two_ends_where_it_was_a_figure():
    assert Said.about(32).holds(33) and not Said.about(32).holds(34) and not Said.about(32).holds(30)
    assert Said.at_least(32).holds(1000) and not Said.at_least(32).holds(30)
    assert "1.5 times" in Said(high=10).off(15)


@pytest.mark.parametrize(
    ("low", "high", "kind"), [(50, 200, "not testable"), (98, 101, "reproduced"), (101, 200, "not reproduced")]
)
def test_bounds_decide_where_they_exclude_or_pin_down(low, high, kind):
    assert bounded(100, low, high, "bounds").kind == kind


def test_a_claim_in_parts_is_as_good_as_its_worst_one():
    good, only, bad = (Verdict(kind, kind[0]) for kind in ("reproduced", "holds only if", "not reproduced"))
    assert together([good, good]).kind == "reproduced"
    assert together([good, only, Verdict("holds only if", "x")]) == Verdict("holds only if", "h, and x")
    assert together([good, only, bad]).kind == "not reproduced"


def test_searches_find_the_edge_that_trying_all_finds():
    for limit in range(12):
        assert least(lambda n, at=limit: n >= at, 1, 10) == next((n for n in range(1, 11) if n >= limit), None)
        below = [n for n in range(1, 11) if n <= limit]
        assert most(lambda n, at=limit: n <= at, 1, 10) == (max(below) if below else None)
    assert edge(lambda x: x >= 0.3, 0.0, 1.0) == pytest.approx(0.3)
    assert edge(lambda x: x > 2, 0.0, 1.0) is None and edge(lambda x: True, 0.5, 1.0) == 0.5


def test_a_verdict_reads_as_a_sentence():
    assert Verdict("holds only if", "it is warm").text == "holds only if it is warm"
    assert Verdict("reproduced", "42").text == "reproduced: 42"
