"""`undiced compare`: one model on wafers, in several mappings, and on groups of GPUs, with all that is assumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import DrawnClock, Fill, Region, Subject, Weights
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError
from undiced.core.option import as_command_options
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.study.compare.comparison import Comparison
    from undiced.study.compare.point import Point
    from undiced.study.gpus import Beside

_WIDTH, _NAME = 80, 28


def compare(
    model: Subject,
    machine: Annotated[str, typer.Option(help="wse1, wse2, wse3, toy-8x8, or a .toml file.")] = "wse3",
    wafers: Annotated[
        str | None, typer.Option(help="Wafers of our mapping, as in 8,16; by default the fewest that hold it.")
    ] = None,
    context: Annotated[int, typer.Option(min=1, help="Positions attended; also the prompt's before a token.")] = 4096,
    weights: Weights = "fp16",
    fill: Fill = None,
    batch: Annotated[
        str | None, typer.Option(help="Sequences at once, as in 1,8,64; by default powers of 4 that fit.")
    ] = None,
    gpus: Annotated[str, typer.Option(help="Kinds of GPUs.")] = "a100,h100,h200,b200",
    counts: Annotated[str, typer.Option(help="How many GPUs share the model.")] = "1,2,4,8,16",
    region: Region = "auto",
    clock: DrawnClock = None,
    samples: Annotated[int, typer.Option(min=1, help="Draws of what is assumed of a wafer.")] = 16,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Draw it to this .svg or .png file.", show_default=False)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Print every point, and every constant with its source.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare a model on wafers with GPUs: tokens per second of one user and of all, as intervals, and what is assumed.

    GPUs are rooflines, 1 to 16 of each kind; measured points stand beside them.
    """
    from undiced.cli.pictures import expect_picture
    from undiced.cli.terminal import Bar, emit
    from undiced.study.compare.asked import Asked
    from undiced.study.compare.comparison import compare as both

    asked = Asked(
        model, machine, context, weights, _numbers("wafers", wafers), _numbers("batch", batch),
        tuple(dict.fromkeys(each.strip().lower() for each in gpus.split(",") if each.strip())),
        _numbers("counts", counts), region, clock, samples, fill,
    )  # fmt: skip
    asked.check()
    expect_picture(out)
    with Bar("Comparing", quiet=as_json) as bar:
        found = both(asked, bar.share)
        drawn = None if out is None else _drawn(found, out)
    if out is not None and drawn is not None:
        with writing(out):
            out.write_bytes(drawn)
    if as_json:
        emit(found.as_dict() | ({"file": str(out)} if out else {}))
        return
    _show(found, every)
    if out is not None:
        typer.echo(printable(str(out)))


def _numbers(name: str, text: str | None) -> tuple[int, ...]:
    """Whole numbers with commas between them, each once, the smallest first."""
    parts = [each.strip() for each in (text or "").split(",") if each.strip()]
    if not all(each.isdecimal() and len(each) <= 9 for each in parts):
        raise InvalidRequestError(f"--{name} {text!r:.40} is no list of numbers.", remedy="Use numbers as in 1,8,64.")
    return tuple(sorted(set(map(int, parts))))


def _drawn(found: Comparison, out: Path) -> bytes:
    from undiced.cli.pictures import encoded
    from undiced.draw import bars, scatter
    from undiced.draw.stack import stack
    from undiced.study.compare.picture import measured, pareto

    return encoded(stack([scatter.draw(pareto(found)), bars.draw(measured(found))]), out)


def _show(found: Comparison, every: bool) -> None:
    asked = found.asked
    typer.secho(
        printable(f"{found.model}, {asked.weights}, {asked.context:,} positions; first token after as long a prompt"),
        bold=True,
    )
    typer.echo(f"{'':{_NAME}}{'at':>5}{'tokens/s of one user':>24}{'in all':>8}{'first':>9}")
    typer.echo(f"{'simulated':{_NAME}}{'once':>5}{'5 %':>8}{'50 %':>8}{'95 %':>8}{'':>8}{'token':>9}{'kW':>6}")
    shown = list(found.points) if every else _chosen(found)
    for point in shown:
        first = "-" if point.first_token_s is None else _seconds(point.first_token_s.median)
        user = point.user
        typer.echo(
            f"{printable(point.way.name[:_NAME]):{_NAME}}{point.at_once:>5,}{_speed(user.low):>8}{_speed(user.median):>8}"
            f"{_speed(user.high):>8}{_speed(point.total.median):>8}{first:>9}{_kilowatts(point.way.power_w):>6}"
        )
    left = len(found.points) - len(shown)
    if left:
        _wrap(
            f"{left} further points of GPUs: --all. Shown is the best group of each kind for a user alone, and for all."
        )
    for each in found.missing:
        _wrap(f"Not there: {each.what}: {as_command_options(each.why)}", "  ")
    _beside(found, every)
    typer.echo("assumed")
    for note in found.notes():
        _wrap(note, "  ", first="  ")
    for way in dict.fromkeys(point.way for point in found.points if point.way.note):
        _wrap(f"{way.how}: {way.note}.", "  ", first="  ")
    _constants(found, every)


def _chosen(found: Comparison) -> list[Point]:
    """All of wafers; of each kind of GPU the best group for one user alone, and the best for all together."""
    shown = [point for point in found.points if point.way.side == "wafers"]
    for gpu in found.gpus():
        mine = [point for point in found.points if point.way.kind == gpu.name]
        if mine:
            alone = max(mine, key=lambda point: point.user.median)
            groups = {alone.way, max(mine, key=lambda point: point.total.median).way}
            shown += [point for point in mine if point.way in groups]
    return shown


def _beside(found: Comparison, every: bool) -> None:
    """What is published of models of these sizes, or everything."""
    rows = found.published.every if every else found.published.mine
    if rows:
        typer.echo("measured, beside the roofline (5 % to 95 %)")
    for each in rows:
        typer.echo(printable(f"  {_point(each)}"))
        typer.echo(printable(f"    {each.point.source[: _WIDTH - 4]}"))
    if found.published.services:
        typer.echo("published of services on wafers, tokens/s of one user")
    for service in found.published.services:
        typer.echo(f"  {service.tokens_per_second:,.0f}: {service.known}")


def _point(each: Beside) -> str:
    point, drawn = each.point, each.simulated
    scale, unit = (1e3, "ms") if point.measure.endswith("_s") else (1.0, "tokens/s")
    name = f"{point.count} x {point.gpu}, {point.batch} at once, {point.bits} bits"
    ends = f"{_speed(drawn.low * scale)} to {_speed(drawn.high * scale)}"
    verdict = "speculated" if point.drafted else "inside" if each.inside else "outside"
    return f"{name:32}{'< ' * point.at_most}{_speed(point.value * scale)} {unit} ({ends}): {verdict}"


def _constants(found: Comparison, every: bool) -> None:
    if not every:
        _wrap("Every constant with its source: --all; undiced machines --sources.", "  ", first="  ")
        return
    shared: dict[str, list[str]] = {}
    for name, each in found.constants():
        gpu, _, what = name.partition(".")
        low, high = each.span
        span = f" ({low:.3g} to {high:.3g})" if low < high else ""
        told = f"{what} {each.value:.4g} {each.unit}{span}, {each.provenance}: {each.source}"
        shared.setdefault(told, []).append(gpu)
    for told, gpus in shared.items():
        _wrap(f"{', '.join(gpus)}: {told}", "    ", first="  ")


def _wrap(text: str, rest: str = "", first: str = "") -> None:
    import textwrap

    typer.echo(textwrap.fill(printable(text), _WIDTH, initial_indent=first, subsequent_indent=rest))


def _speed(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _kilowatts(watts: float) -> str:
    return f"{watts / 1e3:,.0f}" if watts >= 100e3 else f"{watts / 1e3:.1f}"


def _seconds(value: float) -> str:
    return f"{value:,.1f} s" if value >= 1 else f"{value * 1e3:,.3g} ms"
