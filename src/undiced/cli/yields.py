"""`undiced yield`: how many wafers work against density and spares, beside dies of a GPU's size; a model's speed there.

Everything printed here is drawn at random or simulated, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import Clusters
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.upkeep import Upkeeps, Year
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram
    from undiced.study.yields import Progress, Row, Speed

_CONTEXT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Which wafers are drawn, and how many."""

    wafers: Annotated[int, typer.Option(min=1, help="Wafers that are drawn for each row.")] = 10_000
    density: Annotated[
        list[float] | None,
        typer.Option(
            "--defect-density", help="Per mm^2; several give rows. By default 0 to 10 times the published 0.001."
        ),
    ] = None
    spares: Annotated[
        str | None, typer.Option(help="Spare columns in percent of a row, as in 1,2,4; the machine's own by default.")
    ] = None
    clusters: Clusters = False
    seed: Annotated[int, typer.Option(min=0, help="Draws the same wafers again.")] = 0

    def densities(self) -> list[float]:
        """In order.

        Raises:
            CompileError: one out of range, or a number of wafers.
        """
        from undiced.machine.lots import check_lot
        from undiced.machine.silicon import DENSITY
        from undiced.study.maps import process_of
        from undiced.study.yields import MULTIPLES

        check_lot(self.wafers)
        found = sorted(set(self.density)) if self.density else [DENSITY.value * each for each in MULTIPLES]
        for each in found:
            process_of(each, self.clusters)
        return found

    def columns(self, wafer: Wafer) -> list[int]:
        """Numbers of spare columns.

        Raises:
            InvalidRequestError: they are no percents.
        """
        if self.spares is None:
            return [wafer.spares.count]
        try:
            shares = [float(each) for each in self.spares.split(",")]
        except ValueError:
            shares = [-1.0]
        if not all(0 <= share <= 100 for share in shares):
            raise InvalidRequestError(
                f"Spares can't be {self.spares!r:.40}.", remedy="Use percents from 0 to 100, as in 1,2,4."
            )
        return sorted({round(wafer.mesh.size[0] * share / 100) for share in shares})


@gathered
def yield_(
    given: typer.Context,
    *,
    model: Annotated[
        str | None, typer.Argument(help="A model whose speed on such wafers is simulated, too.", metavar="MODEL")
    ] = None,
    machine: Annotated[str, typer.Option(help="wse1, wse2, wse3, toy-8x8, or a .toml file.")] = "wse3",
    drawing: Drawing,
    upkeeps: Upkeeps,
    plot: Annotated[Path | None, typer.Option(help="Draw the shares to an .svg or .png file.")] = None,
    as_json: Json = False,
) -> None:
    """Say how many wafers work in spite of defects, beside dies of a GPU's size. Drawn at random, for every density.

    With a model: its speed on such wafers, what a core that fails takes, and what is left of a year.
    """
    from undiced.cli.pictures import expect_picture
    from undiced.cli.terminal import Bar, emit
    from undiced.machine import find_machine
    from undiced.study.yields import speeds, yields

    ready, wafer, densities = upkeeps.each(given, model), find_machine(machine), drawing.densities()
    columns, clusters, seed = drawing.columns(wafer), drawing.clusters, drawing.seed
    expect_picture(plot)
    with Bar("Drawing wafers", quiet=as_json) as bar:
        program = None if model is None else _program(model, wafer, bar.share)
        rows = yields(wafer, drawing.wafers, densities, columns, clusters, seed, bar.share)
        found = [] if program is None else speeds(program, wafer, densities, seed, _CONTEXT, bar.share)
        year = None if program is None else Year.of(program, wafer, _CONTEXT, ready)
    if plot is not None:
        _draw(rows, wafer, clusters, plot)
    if as_json:
        told = {"machine": wafer.name, "clusters": clusters, "seed": seed, "provenance": "drawn at random, simulated"}
        speed = {"model": model, "speeds": [each.as_dict() for each in found]}
        more = {**speed, "core_failure": year.as_dict()} if year else {}
        emit({**told, "rows": [row.as_dict() for row in rows], **more})
        return
    _tell(rows, wafer, clusters)
    if model is not None and year is not None:
        _tell_speeds(found, model)
        year.tell()


def _draw(rows: list[Row], wafer: Wafer, clusters: bool, plot: Path) -> None:
    from undiced.cli.pictures import encoded
    from undiced.cli.report import writing
    from undiced.draw.chart import draw
    from undiced.study.yields import chart

    with writing(plot):
        plot.write_bytes(encoded(draw(chart(rows, wafer, clusters)), plot))


def _program(model: str, wafer: Wafer, progress: Progress) -> WaferProgram:
    from undiced.study.question import Question, place

    asked = Question(model, wafer, context=_CONTEXT)
    asked.check()
    return place(asked, progress).program


def _tell(rows: list[Row], wafer: Wafer, clusters: bool) -> None:
    how = "gathered as assumed" if clusters else "independent of each other"
    drawn = f"{rows[0].lot.wafers:,} wafers drawn a row, defects {how}"
    typer.secho(f"{wafer.name}, {drawn}; dies of 814 mm^2 beside them", bold=True)
    typer.echo(
        f"{'per mm^2':>9}{'spares':>8}{'defects':>9}{'wafers good':>13}{'95 %':>16}{'dies whole':>12}{'harvested':>11}"
        f"{'US$ a good mm^2: wafer, whole, harvested':>44}"
    )
    for row in rows:
        found = row.as_dict()
        dies = found["dies"]
        assert isinstance(dies, dict)
        low, high = row.lot.interval
        costs = [row.wafer_usd_per_mm2, dies["usd_per_good_mm2"], dies["usd_per_harvested_mm2"]]
        told = "".join(f"{'none' if cost is None else f'{cost:.2f}':>9}" for cost in costs)
        typer.echo(
            f"{row.density:>9g}{row.spares:>8}{row.lot.defects:>9.1f}{row.lot.share:>13.2%}"
            f"{f'{low:.2%} to {high:.2%}':>19}{dies['whole_share']:>9.1%}{dies['harvested_share']:>11.1%}{told:>44}"
        )


def _tell_speeds(found: list[Speed], model: str) -> None:
    typer.secho(f"{model}, tokens per second of one user, on wafers that can be repaired (simulated)", bold=True)
    for each in found:
        how = "gathered" if each.clusters else "independent"
        speed = "none" if each.tokens_per_second is None else f"{each.tokens_per_second:,.0f}"
        slowest = "" if each.slowest is None else f", slowest {each.slowest:,.0f}"
        typer.echo(f"{each.density:>9g} {how:<12}{speed:>8}{slowest}; {each.refused} of {each.wafers} wafers refused")
