"""All rows in short, for a terminal: failures and open rows first, rows of one kind in one line.

Knows how outcomes are sorted and summed up, not how they are printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from undiced.validation.outcome import Outcome
from undiced.validation.table import Cells, aim_of, number

HEAD: Cells = ("id", "what", "published", "simulated", "unit", "error", "aim")


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under one title."""

    title: str
    rows: tuple[Cells, ...]


_SECTIONS: tuple[tuple[str, Callable[[Outcome], bool]], ...] = (
    ("Outside their aim", lambda each: each.passed is False),
    ("Open rows, judged (nothing is fitted on them)", lambda each: not each.row.calibration and each.passed is True),
    ("Open rows, reported without an aim", lambda each: not each.row.calibration and each.passed is None),
    (
        "Calibration rows (more of them than constants are fitted on them)",
        lambda each: each.row.calibration and each.can_fail and each.passed is not False,
    ),
    ("Calibration rows that can't fail (as many constants as rows)", lambda each: not each.can_fail),
)


def sections(found: list[Outcome]) -> list[Section]:
    """Every row once, those furthest off first; rows of a group as the worst of them."""
    kept = ((title, [each for each in found if belongs(each)]) for title, belongs in _SECTIONS)
    return [Section(title, tuple(_rows(rows))) for title, rows in kept if rows]


def _rows(found: list[Outcome]) -> Iterator[Cells]:
    lines = [(each, _line(each)) for each in found if not each.row.group]
    grouped = sorted((each for each in found if each.row.group), key=lambda each: each.row.group)
    for group, members in groupby(grouped, key=lambda each: each.row.group):
        every = list(members)
        worst = max(every, key=_off)
        lines.append((worst, _line(worst, f"{group}: {len(every)} rows, the worst of them")))
    yield from (line for _, line in sorted(lines, key=lambda pair: -_off(pair[0])))


def _line(each: Outcome, what: str = "") -> Cells:
    row = each.row
    return (
        row.id,
        what or row.what,
        "-" if row.published is None else number(row.published),
        number(each.simulated),
        row.unit,
        "-" if each.error is None else f"{each.error:+.1%}",
        aim_of(each),
    )


def _off(each: Outcome) -> float:
    return -1.0 if each.error is None else abs(each.error)


def summary(found: list[Outcome]) -> Iterator[str]:
    """How many rows were fitted, how many can fail, which are judged and reported, and how far off each kind is."""
    fitted = [each for each in found if each.row.calibration and each.can_fail]
    bound = [each for each in found if not each.can_fail]
    others = [each for each in found if not each.row.calibration]
    judged = [each for each in others if each.passed is not None]
    reported = [each for each in others if each.passed is None]
    yield f"Met by construction: {len(bound)} rows, with as many constants as rows; {len(found) - len(bound)} can fail"
    yield f"Fitted, fewer constants: {_within(fitted)}"
    yield f"Open and judged: {_within(judged)}"
    silent = sum(each.error is None for each in reported)
    without = f"; {silent} have nothing published" if silent else ""
    yield f"Open and reported: {len(reported)} rows, {_errors(reported)}{without}"


def _within(found: list[Outcome]) -> str:
    aimed = [each.passed for each in found if each.passed is not None]
    return f"{len(found)} rows, {sum(aimed)} of {len(aimed)} within aim, {_errors(found)}"


def _errors(found: list[Outcome]) -> str:
    errors = [each.error for each in found if each.error is not None]
    if not errors:
        return "no errors known"
    return f"errors {min(errors):+.1%} to {max(errors):+.1%}, half within {median(map(abs, errors)):.1%}"
