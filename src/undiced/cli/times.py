"""Times and durations as people write them, and times as people read them: in this machine's time zone.

Knows no option but by its name.
"""

from __future__ import annotations

import contextlib
import re
from datetime import date, datetime, timedelta

from undiced.core.errors import InvalidRequestError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_PART = re.compile(r"(\d{1,9})([smhdwy])")
_SPAN = re.compile(rf"(?:{_PART.pattern})+")
_SPANS = "30m, 24h, 90d or 2w"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST = date(1970, 1, 1)
NEVER = "never"


def seconds_of(text: str, option: str, most_s: int) -> int:
    """A duration, as 24h or 1d12h, in seconds.

    Raises:
        InvalidRequestError: it is none, or a longer one than there may be.
    """
    if (found := _duration(text)) is None:
        raise InvalidRequestError(f"{option}: {text[:40]!r} is no duration.", remedy=f"Give one as {_SPANS}.")
    if found > most_s:
        remedy = f"Give {most_s // _UNITS_S['d']}d at most."
        raise InvalidRequestError(f"{option}: {text[:40]} is too long.", remedy=remedy)
    return found


def moment_of(text: str, option: str, now_s: float) -> int:
    """A time that lies ahead, in Unix seconds: after a duration, or as 2027-01-01 or 2027-01-01T12:00Z.

    Raises:
        InvalidRequestError: it is none, or has passed.
    """
    span_s = _duration(text)
    at = _time(text) if span_s is None else now_s + span_s
    forms = f"{_SPANS}, 2027-01-01 or 2027-01-01T12:00Z"
    if at is None:
        raise InvalidRequestError(f"{option}: {text[:40]!r} is no time.", remedy=f"Give one as {forms}.")
    if at <= now_s:
        raise InvalidRequestError(f"{option}: {text[:40]} has passed.", remedy=f"Give a later time, as {forms}.")
    return int(at)


def day_of(text: str, option: str, today: int) -> int:
    """A day in UTC, in days since 1970: a date, or the first of the last so many days, of which today is one.

    Raises:
        InvalidRequestError: it is none.
    """
    span_s = _duration(text)
    if span_s is not None and span_s % _UNITS_S["d"] == 0 and 0 < span_s // _UNITS_S["d"] <= today:
        return today + 1 - span_s // _UNITS_S["d"]
    if _DATE.fullmatch(text.strip()):
        with contextlib.suppress(ValueError):
            return (date.fromisoformat(text.strip()) - _FIRST).days
    remedy = "Give one as 2026-11-01, or 7d for the last seven days."
    raise InvalidRequestError(f"{option}: {text[:40]!r} is no day.", remedy=remedy)


def date_of(day: int) -> str:
    """A day for people."""
    return (_FIRST + timedelta(days=day)).isoformat()


def readable(at: int | None, none: str = NEVER) -> str:
    """A time for people, to the minute; `none` where there is none."""
    if at is None:
        return none
    try:
        return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return "in millennia"


def _duration(text: str) -> int | None:
    if not _SPAN.fullmatch(text.strip()):
        return None
    return sum(int(count) * _UNITS_S[unit] for count, unit in _PART.findall(text))


def _time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
