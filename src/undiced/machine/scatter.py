"""How defects fall on wafers: drawn at random, from a density, with whatever makes them gather. Knows no repair.

Drawn for many wafers at once. A reticle field's density is the process's times a gamma variate; the rim is denser than
the middle by a power of the distance; a defect may have others around it; flaws of the mask come back in every field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot, isfinite

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import CompileError
from undiced.machine import silicon
from undiced.machine.defects import DefectMap
from undiced.machine.silicon import Process
from undiced.machine.wafer import Wafer
from undiced.program.wafer.individual import WAYS, Cut

CORE, ROUTER, FIRST_LINK = 0, 1, 2  # kinds; links follow in the order of WAYS
_WAYS = tuple(WAYS)
_MOST = 20_000_000  # defects of a lot: a few hundred megabytes
SEED_MAX = (1 << 63) - 1
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fallen:
    """Defects of a lot: wafer, x, y and kind of each; and how many of each wafer no spare helps."""

    wafer: Ints
    x: Ints
    y: Ints
    kind: Ints
    fatal: Ints


def area_mm2(wafer: Wafer) -> float:
    """Of the usable grid, its spares included."""
    columns, rows = wafer.built
    return columns * rows * wafer.mesh.core_mm2


def scatter(process: Process, wafer: Wafer, seed: int, number: int = 0) -> DefectMap:
    """The map of one wafer of a lot: equal seeds and numbers give equal maps.

    Raises:
        CompileError: a seed that is none.
    """
    if not 0 <= seed <= SEED_MAX:
        raise CompileError(f"A seed can't be {seed}.", remedy=f"Use a whole number from 0 to {SEED_MAX}.")
    fallen = fall(process, wafer, 1, np.random.default_rng([seed, number]), np.random.default_rng([seed]))
    return replace(as_map(fallen, wafer, 0), name=f"seed {seed}, wafer {number}")


def as_map(fallen: Fallen, wafer: Wafer, number: int) -> DefectMap:
    """The map of one wafer of a lot."""
    columns, rows = wafer.built
    here = fallen.wafer == number
    parts = list(zip(fallen.x[here].tolist(), fallen.y[here].tolist(), fallen.kind[here].tolist(), strict=True))
    cores = {(x, y) for x, y, kind in parts if kind < FIRST_LINK}
    links = {Cut(x, y, _WAYS[kind - FIRST_LINK]) for x, y, kind in parts if kind >= FIRST_LINK}
    inside = [cut for cut in links if _leads(cut, columns, rows)]
    return DefectMap(f"wafer {number}", columns, rows, tuple(sorted(cores)), tuple(sorted(inside)))


def _leads(cut: Cut, columns: int, rows: int) -> bool:
    """Whether there is such a link: those at the rim would lead off the wafer."""
    right, down = WAYS[cut.way]
    return 0 <= cut.x + right < columns and cut.y + down < rows


def fall(process: Process, wafer: Wafer, wafers: int, random: np.random.Generator, mask: np.random.Generator) -> Fallen:
    """Defects of a lot of wafers of one mask.

    Args:
        random: draws the wafers; mask: draws the mask's flaws, which all wafers have.

    Raises:
        CompileError: more defects than can be held.
    """
    expected = process.density * area_mm2(wafer)
    each = expected + silicon.FIELDS_X * silicon.FIELDS_Y * process.repeaters
    if wafers * each > _MOST:
        raise CompileError(
            f"{wafers:,} wafers with {expected:,.0f} defects each are too many to draw.",
            remedy=f"Use at most {int(_MOST / each):,} wafers, or a lower density.",
        )
    at = _events(process, wafer, wafers, expected / (1 + process.patch), random)
    at = _with_patches(process, wafer, at, random)
    at = _with_repeaters(process, wafer, at, wafers, mask)
    which, x, y = at
    lost = random.random(len(which)) < process.fatal_share
    fatal = np.bincount(which[lost], minlength=wafers)
    which, x, y = which[~lost], x[~lost], y[~lost]
    return Fallen(which, x, y, _kinds(process, len(which), random), fatal)


Places = tuple[Ints, Ints, Ints]  # wafer, x, y


def _events(process: Process, wafer: Wafer, wafers: int, mean: float, random: np.random.Generator) -> Places:
    """Where defects begin: per field, as its gamma variate has it, thinned towards the middle."""
    columns, rows = wafer.built
    across, down = min(silicon.FIELDS_X, columns), min(silicon.FIELDS_Y, rows)
    fields = across * down
    times = np.ones((wafers, fields))
    if isfinite(process.alpha):
        times = random.gamma(process.alpha, 1 / process.alpha, (wafers, fields))
    edges_x = np.arange(across + 1) * columns // across
    edges_y = np.arange(down + 1) * rows // down
    share = np.outer(np.diff(edges_y), np.diff(edges_x)).ravel() / (columns * rows)
    densest, average = _rim(process, wafer)
    counts = random.poisson(mean * share * times * densest / average)
    which, field = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), fields)
    fx, fy = field % across, field // across
    x = edges_x[fx] + (random.random(len(fx)) * (edges_x[fx + 1] - edges_x[fx])).astype(np.int64)
    y = edges_y[fy] + (random.random(len(fy)) * (edges_y[fy + 1] - edges_y[fy])).astype(np.int64)
    kept = random.random(len(x)) * densest < _edge(process, wafer, x, y)
    return which[kept], x[kept], y[kept]


def _edge(process: Process, wafer: Wafer, x: Ints, y: Ints) -> NDArray[np.float64]:
    """How dense defects are at places, the middle being 1."""
    columns, rows = wafer.built
    half = silicon.WAFER_SIDE_MM.value / 2
    away = np.hypot((2 * x + 1 - columns) / columns, (2 * y + 1 - rows) / rows) * half / silicon.WAFER_RADIUS_MM.value
    made: NDArray[np.float64] = 1 + process.edge * np.minimum(away, 1.0) ** silicon.EDGE_POWER.value
    return made


def _rim(process: Process, wafer: Wafer) -> tuple[float, float]:
    """The densest place and the average of all."""
    columns, rows = wafer.built
    if not process.edge:
        return 1.0, 1.0
    x, y = np.meshgrid(np.arange(0, columns, max(1, columns // 64)), np.arange(0, rows, max(1, rows // 64)))
    corner = min(hypot(1, 1) * silicon.WAFER_SIDE_MM.value / 2 / silicon.WAFER_RADIUS_MM.value, 1.0)
    return 1 + process.edge * corner**silicon.EDGE_POWER.value, float(_edge(process, wafer, x, y).mean())


def _with_patches(process: Process, wafer: Wafer, at: Places, random: np.random.Generator) -> Places:
    """Each defect with those around it, as far as they lie on the wafer."""
    if not process.patch:
        return at
    columns, rows = wafer.built
    more = random.geometric(1 / (1 + process.patch), len(at[0])) - 1
    which, x, y = (np.repeat(each, more) for each in at)
    x = x + np.rint(random.normal(0, process.patch_cores, len(x))).astype(np.int64)
    y = y + np.rint(random.normal(0, process.patch_cores, len(y))).astype(np.int64)
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    return tuple(np.concatenate((old, new[inside])) for old, new in zip(at, (which, x, y), strict=True))  # type: ignore[return-value]


def _with_repeaters(process: Process, wafer: Wafer, at: Places, wafers: int, mask: np.random.Generator) -> Places:
    """Flaws of the mask, in every field of every wafer."""
    flaws = int(mask.poisson(process.repeaters))
    if not flaws:
        return at
    columns, rows = wafer.built
    wide, high = columns // silicon.FIELDS_X, rows // silicon.FIELDS_Y
    if not (wide and high):
        return at
    x, y = mask.integers(0, wide, flaws), mask.integers(0, high, flaws)
    fields = [(fx * wide, fy * high) for fx in range(silicon.FIELDS_X) for fy in range(silicon.FIELDS_Y)]
    all_x = np.concatenate([x + dx for dx, _ in fields])
    all_y = np.concatenate([y + dy for _, dy in fields])
    which = np.repeat(np.arange(wafers), len(all_x))
    new = which, np.tile(all_x, wafers), np.tile(all_y, wafers)
    return tuple(np.concatenate(pair) for pair in zip(at, new, strict=True))  # type: ignore[return-value]


def _kinds(process: Process, count: int, random: np.random.Generator) -> Ints:
    """What each defect breaks."""
    drawn = random.random(count)
    kinds = np.where(drawn < process.router_share, ROUTER, CORE)
    links = (drawn >= process.router_share) & (drawn < process.router_share + process.link_share)
    return np.where(links, FIRST_LINK + random.integers(0, len(_WAYS), count), kinds)
