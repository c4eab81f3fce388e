"""`undiced sweep`: many questions about wafers at once. Lists of choices in, a table, CSV or JSON out.

Rows appear as they are found. Ctrl-C ends it and keeps those that are there.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import Fill
from undiced.cli.lists import count as count_of
from undiced.cli.lists import words as words_of
from undiced.cli.options import HUB, Json
from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError
from undiced.core.exits import Exit
from undiced.core.option import as_command_options
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.cli.terminal import Bar
    from undiced.study.question import Question
    from undiced.study.rows import Cell, Row

_POINTS_MAX = 10_000
_TOLD = (
    "model",
    "machine",
    "wafers",
    "context",
    "batch",
    "weights",
    "sum_bits",
    "mapping",
    "objective",
    "phase",
    "layers",
    "draft",
    "acceptance",
)
_FITS = "What fits: "  # begins the remedy of what does not
_LIST = "or a list: "
_PICTURES = (".svg", ".png")
Words = str | None


def sweep(
    models: Annotated[
        list[str],
        typer.Argument(help=f"Configurations, config.json files, checkpoints or {HUB}.", metavar="MODEL..."),
    ],
    machine: Annotated[str, typer.Option(help=f"A machine, {_LIST}wse2,wse3.")] = "wse3",
    wafers: Annotated[
        Words, typer.Option(help=f"Wafers, {_LIST}1,2,4; by default the fewest that the search finds.")
    ] = None,
    context: Annotated[str, typer.Option(help=f"Positions, {_LIST}1k,4k,32k.")] = "4k",
    batch: Annotated[str, typer.Option(help=f"Sequences at once, {_LIST}1,8.")] = "1",
    weights: Annotated[str, typer.Option(help=f"fp16, int8, fp8 or int4, {_LIST}fp16,int8.")] = "fp16",
    fill: Fill = None,
    sum_bits: Annotated[str, typer.Option(help=f"16 or 32 bits a partial sum, {_LIST}16,32.")] = "16",
    mapping: Annotated[
        str, typer.Option(help=f"undiced, waferllm or waferengine, {_LIST}undiced,waferllm.")
    ] = "undiced",
    objective: Annotated[str, typer.Option(help=f"latency or interval, {_LIST}latency,interval.")] = "latency",
    phase: Annotated[str, typer.Option(help=f"decode or prefill, {_LIST}decode,prefill.")] = "decode",
    layers: Annotated[Words, typer.Option(help=f"Replaces the model's number of layers, {_LIST}8,16.")] = None,
    region: Annotated[str, typer.Option(help="Sides of a region, WxH, or auto.")] = "auto",
    clock: Annotated[Words, typer.Option(help=f"GHz, {_LIST}0.85,1.1; the machine's own by default.")] = None,
    draft: Annotated[
        Words, typer.Option(help=f"A draft model that guesses, or lookup; {_LIST}llama-3.2-1b,lookup.")
    ] = None,
    acceptance: Annotated[
        Words, typer.Option(help=f"How likely a guess is right, {_LIST}0.7,0.8,measured; goes with --draft.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write rows to this .csv file as they are found.")
    ] = None,
    plotted: Annotated[
        bool,
        typer.Option("--plot", help="Draw tokens/s: in the terminal, or to a FILE.svg or .png that is named here."),
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with every column.")] = False,
    as_json: Json = False,
) -> None:
    """Time every combination of models, machines and choices. One row each, also for what does not fit."""
    from undiced.cli.pictures import expect
    from undiced.study.question import Question
    from undiced.study.rows import points

    models, picture = _picture(models, plotted)
    _check_outputs(out, as_csv, as_json, plotted=plotted and picture is None)
    words = {"machine": machine, "weights": weights, "mapping": mapping, "objective": objective, "phase": phase}
    if acceptance and not draft:
        raise InvalidRequestError("--acceptance has no effect without --draft.", remedy="Leave --acceptance out.")
    counts = {"wafers": wafers, "context": context, "batch": batch, "sum_bits": sum_bits, "layers": layers}
    lists: dict[str, Sequence[object]] = {"model": models}
    lists |= {name: words_of(name, text) for name, text in words.items()}
    lists |= {name: [count_of(name, each) for each in words_of(name, text)] for name, text in counts.items() if text}
    guesses = {"draft": draft, "acceptance": acceptance}
    lists |= {name: words_of(name, text) for name, text in guesses.items() if text}
    lists |= {"clock": [_number("clock", each) for each in words_of("clock", clock)]} if clock else {}
    found = points(Question(models[0], region=region, fill=fill), _few(lists))
    if picture is not None:
        expect(picture)
    _run(found, out, as_csv, as_json, _Plot(plotted, picture))


def _check_outputs(out: Path | None, as_csv: bool, as_json: bool, *, plotted: bool) -> None:
    """What is printed and written goes together. `plotted`: in the terminal."""
    if plotted and (as_csv or as_json):
        raise InvalidRequestError("A plot would stand among the data.", remedy="Name a file: --plot rows.svg.")
    if as_csv and as_json:
        raise InvalidRequestError("Two outputs at once.", remedy="Use --csv or --json.")
    if out is not None and out.suffix.lower() != ".csv":
        raise InvalidRequestError(f"{out} is no .csv file.", remedy="Name it rows.csv; --json prints JSON.")


def _picture(models: list[str], plotted: bool) -> tuple[list[str], Path | None]:
    """Models, and the picture that is named among them, as --plot FILE.svg does."""
    named = [name for name in models if Path(name).suffix.lower() in _PICTURES]
    models = [name for name in models if name not in named]
    if named and not plotted:
        raise InvalidRequestError(f"{named[0]} is no model.", remedy=f"Draw it with --plot {named[0]}.")
    if len(named) > 1:
        raise InvalidRequestError("Several pictures.", remedy="Name one .svg or .png file.")
    if not models:
        raise InvalidRequestError("No model is named.", remedy="Name one: undiced sweep llama-3.1-8b --plot rows.svg.")
    return models, Path(named[0]) if named else None


@dataclass(frozen=True, slots=True)
class _Plot:
    """Whether a plot is wanted, and where: in the terminal where no file is named."""

    wanted: bool
    file: Path | None

    def show(self, found: list[Row], *, quiet: bool) -> None:
        """Draw rows; says where. `quiet`: the output is data."""
        from undiced.study.chart import chart

        if not (self.wanted and found):
            return
        if self.file is None:
            from undiced.cli.plot import plot

            plot(chart(found))
            return
        from undiced.cli.pictures import encoded
        from undiced.draw.chart import draw

        drawn = encoded(draw(chart(found)), self.file)
        with writing(self.file):
            self.file.write_bytes(drawn)
        typer.echo(printable(str(self.file)), err=quiet)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidRequestError(f"--{name} can't be {text[:40]!r}.", remedy="Use numbers, for example 1.1.") from None


def _few(lists: dict[str, Sequence[object]]) -> dict[str, Sequence[object]]:
    total = prod(map(len, lists.values()))
    if total > _POINTS_MAX:
        raise InvalidRequestError(f"These are {total:,} points.", remedy=f"Ask for at most {_POINTS_MAX:,}.")
    return lists


def _run(asked: list[Question], out: Path | None, as_csv: bool, as_json: bool, plot: _Plot) -> None:
    """All points in turn; what is there is printed even if the rest is not wanted any more."""
    from undiced.cli.terminal import Bar, counted, emit
    from undiced.study.rows import csv_head, csv_line

    found: list[Row] = []
    ended: int = Exit.OK
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_opened(out))] if out is not None else []
        files += [sys.stdout] if as_csv else []
        bar = stack.enter_context(Bar("Placing", quiet=as_json))
        try:
            _tell(files, csv_head())
            for row in _heard(asked, bar):
                found.append(row)
                _tell(files, csv_line(row))
        except KeyboardInterrupt:
            ended = Exit.INTERRUPTED
    if as_json:
        emit(found)
    elif not as_csv:
        _table(found)
    plot.show(found, quiet=as_csv or as_json)
    if ended == Exit.INTERRUPTED:
        typer.echo(f"Interrupted: {counted(len(found), 'row')} of {len(asked)} were found.", err=True)
    if out is not None and not as_json:
        typer.echo(printable(str(out)), err=as_csv)
    if ended:
        raise typer.Exit(ended)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    with writing(path):
        file = path.open("w", encoding="utf-8")
    with file:
        yield file


def _tell(files: Sequence[IO[str]], line: str) -> None:
    for file in files:
        file.write(line)
        file.flush()


def _heard(asked: list[Question], bar: Bar) -> Iterator[Row]:
    from undiced.study.rows import rows

    found = rows(asked)
    for done, point in enumerate(asked):
        bar.share(done / len(asked), f"Point {done + 1} of {len(asked)}: {point.model}, context {point.positions}")
        yield next(found)


def _table(found: list[Row]) -> None:
    """What differs from row to row, and the figures that people compare."""
    from rich.table import Table

    from undiced.cli.terminal import table_console

    if not found:
        return
    varied = [name for name in _TOLD if name == "wafers" or len({row[name] for row in found}) > 1]
    clocks = sorted({float(clock) / 1e9 for row in found if (clock := row["clock_hz"])})
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in (*varied, *(["GHz"] if len(clocks) > 1 else [])):
        grid.add_column(name, justify="left" if name in ("model", "machine") else "right")
    speculated = any(row["draft"] for row in found)
    for name in ("tokens/s", *["with guesses"] * speculated, "all users", "first token", "longest context"):
        grid.add_column(name, justify="right")
    grid.add_column("what would fit")
    for row in found:
        chosen = [_wafers(row) if name == "wafers" else _cell(row[name]) for name in varied]
        at = [_gigahertz(row)] if len(clocks) > 1 else []
        shown = _shown(row)
        grid.add_row(*chosen, *at, shown[0], *[_rounded(row["speculated_tokens_per_second"])] * speculated, *shown[1:])
    table_console().print(grid)
    typer.echo(
        f"simulated{' at ' if clocks else ''}{', '.join(f'{clock:g} GHz' for clock in clocks)}; --csv: all columns"
    )


def _gigahertz(row: Row) -> str:
    clock = row["clock_hz"]
    return "-" if clock is None else f"{float(clock) / 1e9:g}"


def _wafers(row: Row) -> str:
    """How many are used, of how many where that was said."""
    used, given = row["wafers"], row["wafers_given"]
    return _cell(used or given) if used in (None, given) or given is None else f"{used} of {given}"


def _shown(row: Row) -> tuple[str, ...]:
    if row["tokens_per_second"] is None:
        said = as_command_options(str(row["error"]))
        return "-", "-", "-", "-", printable(said.partition(_FITS)[2] or said)
    first = float(row["time_to_first_token_s"] or 0) * 1e3
    figures = (row["tokens_per_second"], row["aggregate_tokens_per_second"])
    return *(f"{float(each or 0):,.0f}" for each in figures), f"{first:,.1f} ms", _cell(row["max_context_tokens"]), ""


def _rounded(value: Cell) -> str:
    return "-" if value is None else f"{float(value):,.0f}"


def _cell(value: Cell) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int | float) else printable(value)
