"""Lines of comma-separated values, for spreadsheets.

Words that a spreadsheet would take for a formula get an apostrophe in front: some of them are written by callers.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import typer

from undiced.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def show_sheet(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """Print rows below their columns; numbers are integers, and what stands in strings are words."""
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow(columns)
    sheet.writerows([_cell(value) for value in row] for row in rows)
    typer.echo(text.getvalue(), nl=False)


def _cell(value: str | int) -> str | int:
    if isinstance(value, int):
        return value
    return f"'{printable(value)}" if value.startswith(_FORMULA) else printable(value)
