"""How commands of accounts speak to people: lists as tables, a record as labeled lines, a sentence.

Knows words and widths, and no record.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from undiced.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

_LABEL = 15  # columns
_WHOLE = ("ID", "KIND", "SECRET", "STATE", "DID", "CREATED", "TIME", "EXPIRES", "LAST USED")  # stay on a line


def say(text: str, *, err: bool = False) -> None:
    """A sentence, on lines as wide as a terminal."""
    from undiced.cli.terminal import folded

    typer.echo(folded(printable(text), sys.stderr if err else sys.stdout), err=err)


def show_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    none: str,
    *,
    numbers: Container[str] = (),
    width: int | None = None,
) -> None:
    """A table, or on the error stream what to do where there is no row.

    Args:
        numbers: columns that are right-aligned and stay on a line. width: columns of text, whatever the terminal has.
    """
    from rich.table import Table

    from undiced.cli.terminal import table_console

    cells = [tuple(map(printable, row)) for row in rows]
    if not cells:
        say(none, err=True)
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        counts = column in numbers
        whole = counts or column in _WHOLE
        grid.add_column(column, no_wrap=whole, overflow="fold", justify="right" if counts else "left")
    for row in cells:
        grid.add_row(*row)
    console = table_console(markup=False, highlight=False)
    console.print(grid, width=width)


def show_lines(lines: Iterable[tuple[str, str]]) -> None:
    """(what, its value in words), one below the other."""
    import shutil
    import textwrap

    layout = textwrap.TextWrapper(
        shutil.get_terminal_size().columns,
        subsequent_indent=" " * _LABEL,
        break_long_words=False,  # paths and addresses are copied
        break_on_hyphens=False,
    )
    for label, words in lines:
        typer.echo(layout.fill(f"{label:<{_LABEL}}{printable(words)}"))
