"""`undiced validate`: the simulator against published measurements, its calibration, and the claims made with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.cli.tornado import draw_moved, expect_plot
from undiced.core.errors import InvalidRequestError
from undiced.core.exits import Exit

if TYPE_CHECKING:
    from undiced.validation.claims import Claims
    from undiced.validation.judgement import Judged
    from undiced.validation.outcome import Outcome
    from undiced.validation.table import Cells

_NARROW, _WIDE = 80, 220  # columns where no terminal says how many
_SAMPLES_MAX = 100_000
_FIGURES = ("published", "simulated", "error", "aim", "presets", "5 %", "50 %", "95 %", "cycles per layer", "gain")


def validate(
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit the free parameters again; print what each row tells.")
    ] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="Print our mapping's claims as joint intervals over everything assumed.")
    ] = False,
    fabric: Annotated[
        bool, typer.Option("--fabric", help="Judge the closed forms of collectives by the fabric, wavelet by wavelet.")
    ] = False,
    write: Annotated[Path | None, typer.Option(help="Write the whole page, docs/validation.md, to this file.")] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, max=_SAMPLES_MAX, help="Samples of each machine, for --claims and --write.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw what moves the first claim to this .svg or .png, with --claims.")
    ] = None,
    row: Annotated[list[str] | None, typer.Option("--row", help="Only rows of this id; may be given again.")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every row by itself, with provenance, source and clock.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Simulate published measurements. Prints the error of each one; fails if a row is outside its aim."""
    if calibrate + claims + fabric + (write is not None) > 1:
        raise InvalidRequestError("Several outputs at once.", remedy="Use --calibrate, --claims, --fabric or --write.")
    if samples is not None and not (claims or write is not None):
        raise InvalidRequestError("--samples has no effect without --claims or --write.", remedy="Leave it out.")
    if row and (calibrate or claims or fabric or write is not None):
        raise InvalidRequestError("--row has no effect here.", remedy="Leave it out.")
    if plot is not None:
        expect_plot(plot, claims)
    if verbose and (calibrate or claims or fabric or write is not None or as_json):
        raise InvalidRequestError("--verbose has no effect here.", remedy="Leave it out.")
    if calibrate:
        _print_calibration(as_json)
    elif claims:
        found_claims = _claims(samples, as_json)
        if plot is not None:
            draw_moved(found_claims, plot)
        _print_claims(found_claims, as_json)
    elif fabric:
        _print_judged(_judged(as_json), as_json)
    elif write is not None:
        _write(write, samples, as_json)
    else:
        found = _outcomes(as_json, tuple(row or ()))
        _print_rows(found, as_json, verbose, whole=not row)
        if any(outcome.passed is False for outcome in found):
            raise typer.Exit(Exit.ERROR)


def _outcomes(as_json: bool, only: tuple[str, ...] = ()) -> list[Outcome]:
    from undiced.cli.terminal import Bar
    from undiced.validation.outcome import validate as judge

    with Bar("Simulating", quiet=as_json) as bar:
        return judge(bar.share, only)


def _judged(as_json: bool) -> list[Judged]:
    from undiced.cli.terminal import Bar
    from undiced.validation.judgement import sweep

    with Bar("Moving wavelets", quiet=as_json) as bar:
        return sweep(bar.share)


def _claims(samples: int | None, as_json: bool) -> Claims:
    from undiced.cli.terminal import Bar
    from undiced.validation.claims import SAMPLES
    from undiced.validation.claims import claims as sample

    with Bar("Sampling", quiet=as_json) as bar:
        return sample(samples or SAMPLES, bar.share)


def _write(path: Path, samples: int | None, as_json: bool) -> None:
    from undiced.cli.terminal import emit
    from undiced.validation.page import whole_page

    text = whole_page(_outcomes(as_json), _judged(as_json), _claims(samples, as_json))
    with writing(path):
        path.write_text(text, encoding="utf-8")
    emit({"file": str(path)}) if as_json else typer.echo(path)


def _print_calibration(as_json: bool) -> None:
    from undiced.cli.terminal import Bar, emit
    from undiced.validation.calibration import as_dict
    from undiced.validation.calibration import calibrate as fit
    from undiced.validation.joint import assumed
    from undiced.validation.lab import MACHINES
    from undiced.validation.table import assumed_lines, fit_lines

    with Bar("Fitting", quiet=as_json) as bar:
        fits = fit(bar.share)
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
    from undiced.validation.table import claim_table, kept_line, ladder_table, moved_table

    if as_json:
        emit(found.as_dict())
        return
    _titled("Claims of the undiced mapping, over everything assumed at once", claim_table(found))
    typer.echo(f"{kept_line(found)}; all figures are simulated.")
    _titled("What moves the first of them, the largest first", moved_table(found))
    _titled("From the published baseline to undiced, one step at a time", ladder_table(found.ladders[0]))
    _titled("From the published engine on WSE-3 to undiced", ladder_table(found.ladders[1]))


def _print_judged(found: list[Judged], as_json: bool) -> None:
    from undiced.cli.terminal import emit
    from undiced.validation.table import judged_table, worst_table

    if as_json:
        emit([each.as_dict() for each in found])
        return
    _titled("Errors of closed forms: 5 %, 50 %, 95 % (mean)", judged_table(found))
    _titled("Where wires differ most; * marks stars", worst_table(found))
    typer.echo("All figures are simulated, on both sides.")


def _print_rows(found: list[Outcome], as_json: bool, verbose: bool, *, whole: bool) -> None:
    from undiced.cli.terminal import emit, folded
    from undiced.validation.brief import HEAD, sections, summary
    from undiced.validation.table import row_table

    if as_json:
        emit([outcome.as_dict() for outcome in found])
        return
    if verbose:
        _titled("Every row", row_table(found), _WIDE)
    else:
        for section in sections(found):
            _titled(section.title, [HEAD, *section.rows])
    typer.echo()
    for line in summary(found) if whole else ():
        typer.echo(folded(line, sys.stdout))
    typer.echo("All figures are simulated." + ("" if verbose else " --verbose adds sources, and every row of a kind."))


def _titled(title: str, table: list[Cells], width: int = _NARROW) -> None:
    from rich.table import Table

    from undiced.cli.terminal import table_console

    header, *rows = table
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        grid.add_column(
            name, overflow="fold", justify="right" if name in _FIGURES else "left", no_wrap=name in _FIGURES
        )
    for row in rows:
        grid.add_row(*row)
    typer.secho(f"\n{title}", bold=True)
    table_console(width).print(grid)
