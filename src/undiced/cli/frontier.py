"""`undiced frontier`: users by context by speed of a model on a number of wafers, as a table, JSON and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import Clock, CodeBytes, Fill, Layers, Region, Routing, Subject, Sums, Wafers, Weights
from undiced.cli.lists import count, words
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.study.frontier import Frontier


def frontier(
    model: Subject,
    machine: Annotated[str, typer.Option(help="wse1, wse2, wse3, or a .toml file.")] = "wse3",
    wafers: Wafers = None,
    context: Annotated[str, typer.Option(help="Contexts of each user: a list.")] = "1k,8k,32k",
    lockstep: Annotated[str, typer.Option(help="Sequences in lockstep that are tried: a list.")] = "1,4,16",
    weights: Weights = "fp16",
    fill: Fill = None,
    sum_bits: Sums = 16,
    region: Region = "auto",
    layers: Layers = None,
    routing: Routing = None,
    clock: Clock = None,
    code_bytes: CodeBytes = None,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Draw it to this .svg or .png file.")] = None,
    as_json: Json = False,
) -> None:
    """Say how many users of which context wafers serve at once, and how fast each is. Everything is simulated."""
    from undiced.cli.pictures import expect_picture
    from undiced.cli.terminal import Bar, emit
    from undiced.study.frontier import frontier as search
    from undiced.study.question import Question

    asked = Question(
        model, machine, wafers, weights=weights, sum_bits=sum_bits, region=region, layers=layers, routing=routing,
        clock=clock, code_bytes=code_bytes, fill=fill,
    )  # fmt: skip
    asked.check()
    contexts, tried = ([count(name, each) for each in words(name, text)] for name, text in
                       (("context", context), ("lockstep", lockstep)))  # fmt: skip
    expect_picture(out)
    with Bar("Placing", quiet=as_json) as bar:
        found = search(asked, contexts, tried, bar.share)
    if out is not None:
        _draw(found, out)
    if as_json:
        emit({**found.as_dict(), **({} if out is None else {"file": str(out)})})
        return
    _table(found)
    if out is not None:
        typer.echo(printable(str(out)))


def _draw(found: Frontier, out: Path) -> None:
    from undiced.cli.pictures import encoded
    from undiced.draw.chart import draw
    from undiced.study.frontier import chart

    drawn = encoded(draw(chart(found)), out)
    with writing(out):
        out.write_bytes(drawn)


def _table(found: Frontier) -> None:
    """A row for each number of users of a context."""
    from rich.table import Table

    from undiced.cli.terminal import table_console

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("context", "users", "tokens/s each", "tokens/s of all", "lockstep", "region", "placed for"):
        grid.add_column(name, justify="left" if name == "placed for" else "right")
    for each in found.points:
        point = each.point
        speeds = f"{point.tokens_per_second:,.0f}", f"{point.aggregate:,.0f}"
        grid.add_row(
            f"{point.context:,}", f"{point.users:,}", *speeds, str(point.lockstep), each.region, each.objective
        )
    typer.secho(printable(f"{found.model} on {found.wafers} x {found.machine}"), bold=True)
    table_console().print(grid)
    for line in found.untried:
        typer.echo(printable(f"not placed: {line}"))
    typer.echo(f"simulated at {found.clock_hz / 1e9:g} GHz, all users at once")
