"""Durations and times as people write and read them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest

from undiced.cli.times import moment_of, readable, seconds_of
from undiced.core.errors import InvalidRequestError

NOW_S = 1_795_000_000.0
DAY_S = 86_400


@pytest.fixture(autouse=True)
def far_east(monkeypatch: pytest.MonkeyPatch):
    """A time zone of nine hours."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("30m", 1800),
        ("24h", DAY_S),
        ("90d", 90 * DAY_S),
        ("2w", 14 * DAY_S),
        ("1d12h", 1.5 * DAY_S),
        ("1y", 365 * DAY_S),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text, "--x", 400 * DAY_S) == seconds
    assert moment_of(text, "--x", NOW_S) == NOW_S + seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1.5h", "1 h", "24H", "1Y", "h24", "1" * 10 + "s", "1h2"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"--overlap: .* is no duration\. Give one as 30m, 24h, 90d or 2w\."):
        seconds_of(text, "--overlap", DAY_S)


def test_a_duration_has_its_bound() -> None:
    assert seconds_of("1d", "--x", DAY_S) == DAY_S
    with pytest.raises(InvalidRequestError, match=r"--x: 25h is too long\. Give 1d at most\."):
        seconds_of("25h", "--x", DAY_S)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2027-01-01", "2026-12-31T15:00"),
        ("2027-01-01T12:00", "2027-01-01T03:00"),
        ("2027-01-01 12:00", "2027-01-01T03:00"),
        ("2027-01-01T12:00Z", "2027-01-01T12:00"),
        ("2027-01-01T12:00+02:00", "2027-01-01T10:00"),
    ],
)
def test_times_are_of_this_machine_s_zone_unless_they_name_one(text: str, utc: str) -> None:
    wanted = datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()
    assert moment_of(text, "--expires", NOW_S) == wanted


@pytest.mark.parametrize("text", ["tomorrow", "2027-13-01", "01/02/2027", "1800000000", "", "0001-01-01", "9" * 30])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"--expires: .*(is no time|has passed)\. Give .* 2027-01-01T12:00Z\."
    ):
        moment_of(text, "--expires", NOW_S)


@pytest.mark.parametrize("text", ["2020-01-01", "0d", "2026-11-18T14:46"])
def test_a_time_that_has_passed_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(f"{text} has passed")):
        moment_of(text, "--expires", NOW_S)


def test_times_are_shown_in_this_machine_s_zone_whatever_they_are() -> None:
    assert readable(int(NOW_S)) == "2026-11-18 20:06"
    assert readable(None) == "never"
    assert readable(1 << 39) == readable(1 << 62) == "in millennia"
