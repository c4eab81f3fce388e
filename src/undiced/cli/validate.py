"""`undiced validate`: the simulator against published measurements, its calibration, and the claims made with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import Json
from undiced.cli.report import writing

if TYPE_CHECKING:
    from undiced.validation.outcome import Outcome

_FILE_WIDTH = 220  # columns where no terminal says how many


def validate(
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit the free parameters again; print rank and ranges (seconds).")
    ] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="Print our mapping's claims as intervals over everything assumed.")
    ] = False,
    write: Annotated[Path | None, typer.Option(help="Write the whole page, docs/validation.md, to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Simulate published measurements. Prints the error of each one in the tables."""
    from undiced.cli.terminal import emit
    from undiced.core.errors import InvalidRequestError
    from undiced.validation import calibration as fitting
    from undiced.validation import claims as claiming
    from undiced.validation.outcome import validate as judge
    from undiced.validation.page import whole_page

    if calibrate + claims + (write is not None) > 1:
        raise InvalidRequestError("Several outputs at once.", remedy="Use --calibrate, --claims or --write.")
    if calibrate:
        emit(fitting.as_dicts()) if as_json else fitting.report()
    elif claims:
        emit(claiming.as_dicts()) if as_json else claiming.report()
    elif write is not None:
        text = whole_page()
        with writing(write):
            write.write_text(text, encoding="utf-8")
        emit({"file": str(write)}) if as_json else typer.echo(write)
    else:
        _print(judge(), as_json)


def _print(found: list[Outcome], as_json: bool) -> None:
    from undiced.cli.terminal import emit
    from undiced.validation.page import table

    if as_json:
        emit([outcome.as_dict() for outcome in found])
        return
    from rich.console import Console
    from rich.table import Table

    header, *rows = table(found)
    grid = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*row)
    console = Console() if sys.stdout.isatty() else Console(width=_FILE_WIDTH)
    console.print(grid)
    judged = [outcome.passed for outcome in found if outcome.passed is not None]
    typer.echo(f"{sum(judged)} of {len(judged)} judged rows are within their aim; all figures are simulated.")
