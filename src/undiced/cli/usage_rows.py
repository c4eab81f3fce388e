"""Rows of usage as people and spreadsheets read them: names in the place of ids, dates, sums. Reads no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from undiced.account.money import column, shown
from undiced.account.usage import UsageRow
from undiced.cli.sheet import show_sheet
from undiced.cli.subject import key_words
from undiced.cli.times import date_of

if TYPE_CHECKING:
    from undiced.account.usage import Grouping

COUNTS = tuple(each.name for each in fields(UsageRow) if each.name not in ("group", "names"))
_SHOWN = {"requests": "REQUESTS", "prompt_tokens": "INPUT", "cached_tokens": "CACHED", "completion_tokens": "OUTPUT"}


def total(rows: Sequence[UsageRow]) -> UsageRow:
    """The sums of rows."""
    return UsageRow({}, {}, *(sum(getattr(row, name) for row in rows) for name in COUNTS))


def in_order(rows: Sequence[UsageRow], by: Sequence[Grouping]) -> list[UsageRow]:
    """By the names that people read."""
    return sorted(rows, key=lambda row: [_word(row, name) for name in by])


def table(
    rows: Sequence[UsageRow], by: Sequence[Grouping], currency: str | None
) -> tuple[Sequence[str], Sequence[Sequence[str]], Sequence[str]]:
    """Columns, rows with their sums at the end, and which of the columns are numbers."""
    numbers = (*_SHOWN.values(), currency or "CHARGE")
    summed = [*rows, total(rows)]
    charges = column([row.charge for row in summed])
    cells = [
        (*_words(row, by), *(f"{getattr(row, name):,}" for name in _SHOWN), charge)
        for row, charge in zip(summed, charges, strict=True)
    ]
    return (*(name.upper() for name in by), *numbers), cells, numbers


def show_csv(rows: Sequence[UsageRow], by: Sequence[Grouping], currency: str | None, span: tuple[str, str]) -> None:
    """The rows for a spreadsheet. Ids have columns of their own where there are names; amounts are exact."""
    named = [name for name in by if name in ("organization", "project", "key")]
    columns = ("since", "until", *by, *(f"{name}_id" for name in named), *COUNTS, "currency")
    cells = [
        (
            *span,
            *(row.names.get(name, "") if name == "key" else _word(row, name) for name in by),
            *(str(row.group[name]) for name in named),
            *(getattr(row, name) for name in COUNTS[:-1]),
            shown(row.charge),
            currency or "",
        )
        for row in rows
    ]
    show_sheet(columns, cells)


def as_object(rows: Sequence[UsageRow]) -> dict[str, object]:
    """The rows and their sums for scripts."""
    return {"rows": [asdict(row) for row in rows], "total": {name: getattr(total(rows), name) for name in COUNTS}}


def _words(row: UsageRow, by: Sequence[Grouping]) -> list[str]:
    if not row.group:
        return ["total", *[""] * (len(by) - 1)][: len(by)]
    return [_word(row, name) for name in by]


def _word(row: UsageRow, name: Grouping) -> str:
    known = row.group[name]
    if name == "day":
        return date_of(int(known))
    if name == "key":
        return key_words(str(known), row.names.get(name, ""))
    return row.names.get(name, str(known))
