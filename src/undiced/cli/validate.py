"""`undiced validate`: the simulator against published measurements, its calibration, and the claims made with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.validation.claims import Claims
    from undiced.validation.outcome import Outcome
    from undiced.validation.table import Cells

_FILE_WIDTH = 220  # columns where no terminal says how many
_SAMPLES_MAX = 100_000


def validate(
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit the free parameters again; print what each row tells.")
    ] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="Print our mapping's claims as joint intervals over everything assumed.")
    ] = False,
    write: Annotated[Path | None, typer.Option(help="Write the whole page, docs/validation.md, to this file.")] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, max=_SAMPLES_MAX, help="Samples of each machine, for --claims and --write.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate published measurements. Prints the error of each one in the tables."""
    if calibrate + claims + (write is not None) > 1:
        raise InvalidRequestError("Several outputs at once.", remedy="Use --calibrate, --claims or --write.")
    if samples is not None and not (claims or write is not None):
        raise InvalidRequestError("--samples has no effect without --claims or --write.", remedy="Leave it out.")
    if calibrate:
        _print_calibration(as_json)
    elif claims:
        _print_claims(_claims(samples, as_json), as_json)
    elif write is not None:
        _write(write, samples, as_json)
    else:
        _print_rows(_outcomes(as_json), as_json)


def _outcomes(as_json: bool) -> list[Outcome]:
    from undiced.cli.terminal import Bar
    from undiced.validation.outcome import validate as judge

    with Bar("Simulating", quiet=as_json) as bar:
        return judge(bar.share)


def _claims(samples: int | None, as_json: bool) -> Claims:
    from undiced.cli.terminal import Bar
    from undiced.validation.claims import SAMPLES
    from undiced.validation.claims import claims as sample

    with Bar("Sampling", quiet=as_json) as bar:
        return sample(samples or SAMPLES, bar.share)


def _write(path: Path, samples: int | None, as_json: bool) -> None:
    from undiced.cli.terminal import emit
    from undiced.validation.page import whole_page

    text = whole_page(_outcomes(as_json), _claims(samples, as_json))
    with writing(path):
        path.write_text(text, encoding="utf-8")
    emit({"file": str(path)}) if as_json else typer.echo(path)


def _print_calibration(as_json: bool) -> None:
    from undiced.cli.terminal import emit
    from undiced.validation.calibration import as_dict
    from undiced.validation.calibration import calibrate as fit
    from undiced.validation.joint import assumed
    from undiced.validation.lab import MACHINES
    from undiced.validation.table import assumed_lines, fit_lines

    fits = fit()
    if as_json:
        ranges = {m: {p.name: {"low": p.low, "high": p.high} for p in assumed(m)} for m in MACHINES}
        emit({"fits": [as_dict(one) for one in fits], "assumed": ranges})
        return
    for line in (line for one in fits for line in fit_lines(one)):
        typer.echo(line)
    for line in (line for machine in MACHINES for line in assumed_lines(machine)):
        typer.echo(line)


def _print_claims(found: Claims, as_json: bool) -> None:
    from undiced.cli.terminal import emit
    from undiced.validation.table import ablation_table, claim_table, kept_line

    if as_json:
        emit(found.as_dict())
        return
    _grid(claim_table(found))
    typer.echo(f"{kept_line(found)}; all figures are simulated.\n")
    _grid(ablation_table(found))


def _print_rows(found: list[Outcome], as_json: bool) -> None:
    from undiced.cli.terminal import emit
    from undiced.validation.table import missing_table, row_table

    if as_json:
        emit([outcome.as_dict() for outcome in found])
        return
    _grid(row_table(found))
    typer.echo("\nNot replayed yet:")
    _grid(missing_table())
    judged = [outcome.passed for outcome in found if outcome.passed is not None]
    typer.echo(f"\n{sum(judged)} of {len(judged)} judged rows are within their aim; all figures are simulated.")


def _grid(table: list[Cells]) -> None:
    from rich.console import Console
    from rich.table import Table

    header, *rows = table
    grid = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*row)
    console = Console() if sys.stdout.isatty() else Console(width=_FILE_WIDTH)
    console.print(grid)
