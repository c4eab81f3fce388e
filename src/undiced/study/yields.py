"""Yields: how many wafers of a lot work, beside dies of a GPU's size, what their silicon costs, and how fast a model is
on wafers with defects. Everything is drawn and simulated; nothing is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING

from undiced.core.errors import CompileError
from undiced.draw.chart import Chart, Series
from undiced.machine import silicon
from undiced.machine.dies import Dies, dies
from undiced.machine.lots import Lot, check_lot, lot, with_spares
from undiced.machine.repair import UnrepairableError
from undiced.machine.wafer import Wafer
from undiced.study.maps import process_of

if TYPE_CHECKING:
    from undiced.machine.defects import DefectMap
    from undiced.program.wafer.program import WaferProgram

MULTIPLES = (0.0, 1.0, 2.0, 5.0, 10.0)  # of the published density
SPEEDS = 8  # wafers whose speeds are averaged, at least
PATIENCE = 24  # wafers that one place of a program may refuse, one after another
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One density with one number of spares: a lot of wafers, and the dies of as many wafers."""

    density: float
    spares: int
    lot: Lot
    dies: Dies

    @property
    def wafer_usd_per_mm2(self) -> float | None:
        """What a square millimeter of a wafer that works costs; None: none works."""
        return _price(self.lot.share * self.lot.good_mm2)

    def as_dict(self) -> dict[str, object]:
        """Under stable keys, for scripts."""
        low, high = self.lot.interval
        return {
            "density_per_mm2": self.density,
            "spare_columns": self.spares,
            "wafers": self.lot.wafers,
            "defects_per_wafer": self.lot.defects,
            "good_share": self.lot.share,
            "good_share_low": low,
            "good_share_high": high,
            "lost": {"side_by_side": self.lot.beside, "short_of_spares": self.lot.short, "fatal": self.lot.fatal},
            "usd_per_good_mm2": self.wafer_usd_per_mm2,
            "dies": {
                "per_wafer": self.dies.dies // self.dies.wafers,
                "whole_share": self.dies.whole / self.dies.dies,
                "harvested_share": self.dies.harvested / self.dies.dies,
                "usd_per_good_mm2": _price(self.dies.good_mm2),
                "usd_per_harvested_mm2": _price(self.dies.harvested_mm2),
            },
        }


def _price(good_mm2: float) -> float | None:
    return silicon.WAFER_USD.value / good_mm2 if good_mm2 else None


def yields(
    wafer: Wafer,
    wafers: int,
    densities: Sequence[float],
    spares: Sequence[int],
    clusters: bool,
    seed: int,
    progress: Progress,
) -> list[Row]:
    """A row for each density and number of spare columns.

    Raises:
        CompileError: a density, a lot or spares out of range.
    """
    width = wafer.mesh.size[0]
    check_lot(wafers)
    for columns in spares:
        if not 0 <= columns <= width:
            raise CompileError(f"A row can't have {columns} spares.", remedy=f"Use 0 to {width}.")
    found: list[Row] = []
    parts = len(densities) * len(spares)
    for density in densities:
        process = process_of(density, clusters)
        chips = dies(process, wafers, seed)
        for columns in spares:
            done = len(found)
            made = lot(
                process,
                with_spares(wafer, columns),
                wafers,
                seed,
                lambda share, done=done: progress((done + share) / parts, "Drawing wafers"),  # type: ignore[misc]
            )
            found.append(Row(density, columns, made, chips))
    return found


def chart(rows: Sequence[Row], wafer: Wafer, clusters: bool) -> Chart:
    """The share of good wafers and dies over density, in percent."""
    series = []
    for columns in sorted({row.spares for row in rows}, reverse=True):
        points = tuple((row.density, 100 * row.lot.share) for row in rows if row.spares == columns)
        series.append(Series(f"{wafer.name}, {100 * columns / wafer.mesh.size[0]:.1f} % spare columns", points))
    first = [row for row in rows if row.spares == rows[0].spares]
    for name, what in (("harvested", "dies with 132 of 144 blocks"), ("whole", "dies without a defect")):
        share = tuple((row.density, 100 * getattr(row.dies, name) / row.dies.dies) for row in first)
        series.append(Series(f"{what}, {silicon.GPU_AREA_MM2.value:g} mm²", share))
    how = "gathered defects, as assumed" if clusters else "independent defects"
    note = f"{rows[0].lot.wafers:,} wafers a point, {how}; the published density is {silicon.DENSITY.value:g}."
    return Chart("Wafers and dies that work", (note,), "defects per mm²", "% good", tuple(series))


@dataclass(frozen=True, slots=True)
class Speed:
    """A model on wafers of a density, each taken as it comes and left out if it has no place for its part.

    `wafers` were drawn, `refused` of them left out; speeds are None where too few were left.
    """

    density: float
    clusters: bool
    wafers: int
    refused: int
    tokens_per_second: float | None
    slowest: float | None

    def as_dict(self) -> dict[str, object]:
        """Under stable keys, for scripts."""
        return {name: getattr(self, name) for name in self.__slots__}


def speeds(
    program: WaferProgram, wafer: Wafer, densities: Sequence[float], seed: int, context: int, progress: Progress
) -> list[Speed]:
    """The speed of a program on wafers that can be repaired, without clusters and with them."""
    points = [(density, clusters) for clusters in (False, True) for density in densities]
    out: list[Speed] = []
    for density, clusters in points:
        progress(len(out) / len(points), "Timing a token around defects")
        out.append(_speed(program, wafer, density, clusters, seed, context))
    return out


def _speed(program: WaferProgram, wafer: Wafer, density: float, clusters: bool, seed: int, context: int) -> Speed:
    from undiced.compiler.wafer.settle import settle
    from undiced.machine.scatter import scatter
    from undiced.program.wafer.step import Step
    from undiced.sim.clock import time_step

    process = process_of(density, clusters)
    lot = _Picking(program, wafer, (scatter(process, wafer, seed, number) for number in count()))
    found: list[float] = []
    while len(found) < (max(2, SPEEDS // program.wafers) if density else 1):
        maps = lot.picked()
        if maps is None:
            break
        settled = settle(program, wafer, maps.__getitem__)
        found.append(time_step(settled, wafer, Step(1, 1, context)).tokens_per_second)
    mean = sum(found) / len(found) if found else None
    return Speed(density, clusters, lot.drawn, lot.refused, mean, min(found, default=None))


@dataclass(slots=True)
class _Picking:
    """Wafers one after another, and whom the parts of a program took."""

    program: WaferProgram
    wafer: Wafer
    maps: Iterator[DefectMap]
    drawn: int = 0
    refused: int = 0

    def picked(self) -> list[DefectMap] | None:
        """A map for each wafer of the program; None if many in a row have no place for one."""
        out: list[DefectMap] = []
        for number in range(self.program.wafers):
            found = self._one(number)
            if found is None:
                return None
            out.append(found)
        return out

    def _one(self, number: int) -> DefectMap | None:
        from undiced.compiler.wafer.settle import repaired

        own = [region for region in self.program.regions if region.wafer == number]
        for found in islice(self.maps, PATIENCE):
            self.drawn += 1
            try:
                repaired(own, self.wafer, found, number)
            except UnrepairableError:
                self.refused += 1
                continue
            return found
        return None
