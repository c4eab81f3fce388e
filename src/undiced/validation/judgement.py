"""Closed forms of collectives beside the fabric, point by point: errors by kind, and the worst with their reason.

Knows points and what one of them takes on both sides; fits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

from undiced.machine import find_machine
from undiced.program.wafer.tree import Tree, roots
from undiced.validation.collective_points import MODELS, compiled, drawn
from undiced.validation.collectives import Collective, Found, judged, mechanisms, wires

POINTS, COMPILED = 320, 12  # drawn, and of each model
WORST = 10
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """One point three times.

    Attributes:
        wires: no software on either side. alike: with set-ups as the fabric has them on both sides. whole: the closed
            form with all constants as they are calibrated or assumed, the fabric with the machine's set-ups.
    """

    wires: Found
    alike: Found
    whole: Found

    @property
    def reason(self) -> str:
        """Why wires differ, by what the point is."""
        return _reason(self.wires)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        point = self.wires.collective
        sides = {"wires": self.wires, "alike": self.alike, "whole": self.whole}
        return {"kind": point.kind, "machine": point.machine, "what": point.what} | {
            name: {"closed": round(found.closed, 1), "fabric": found.fabric, "error": found.error}
            for name, found in sides.items()
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """Errors of some points: 5 %, 50 % and 95 % of them are below, and their mean."""

    low: float
    median: float
    high: float
    mean: float

    @classmethod
    def of(cls, errors: list[float]) -> Spread:
        """Of at least one error."""
        held = sorted(errors)
        low, median, high = (held[min(len(held) - 1, int(share * len(held)))] for share in (0.05, 0.5, 0.95))
        return cls(low, median, high, fmean(held))


def sweep(progress: Progress = lambda share, what: None, points: int = POINTS) -> list[Judged]:
    """Every point, those of compiled models last."""
    found = list[Judged]()
    whole = points + COMPILED * len(MODELS)
    for point in _points(points):
        found.append(judge(point))
        progress(min(1.0, len(found) / whole), point.kind)
    return found


def _points(count: int) -> Iterator[Collective]:
    yield from drawn(count)
    for model in MODELS:
        yield from compiled(model, COMPILED)


def judge(point: Collective) -> Judged:
    """One point."""
    wafer = find_machine(point.machine)
    bare, alike = wires(wafer), mechanisms(wafer, sums="sum" in point.movers)
    whole = judged(point, wafer, wafer)
    return Judged(judged(point, bare, bare), judged(point, alike, wafer, whole.fabric), whole)


def kinds(found: list[Judged]) -> dict[str, list[Judged]]:
    """Points by kind, and all of them."""
    out: dict[str, list[Judged]] = {}
    for each in found:
        out.setdefault(each.wires.collective.kind, []).append(each)
    return out | {"all": found}


def worst(found: list[Judged], count: int = WORST) -> list[Judged]:
    """The points whose wires differ most."""
    return sorted(found, key=lambda each: -abs(each.wires.error))[:count]


def _reason(found: Found) -> str:
    point, short = found.collective, found.closed < found.fabric
    stars, slices = any(level.star for level in point.tree.levels), point.tree.slices > 1
    if "sum" not in point.movers:
        return _of_a_multicast(point, short)
    if len(point.movers) > 1:
        return "cores do one after the other" if short else "what comes next waits in the routers, near the root"
    if slices and short:
        return "slices hold each other up, at roots" + " and on links that stars share" * stars
    if short:
        return "a root takes its own terms to where it adds"
    if _uneven(point.tree):
        return "a smaller group at the line's end is done earlier"
    return "slices hold each other up less than once a level" if slices else "no single reason"


def _uneven(tree: Tree) -> bool:
    """Whether the last group of some level has fewer members than the others."""
    members = tree.span
    for level in tree.levels:
        size = min(level.size, members)
        if members % size:
            return True
        members //= size
    return False


def _of_a_multicast(point: Collective, short: bool) -> str:
    if short:
        return "a sender copies its own once it has sent"
    if point.elements < point.tree.slices:
        return "roots that have no elements take no turn"
    if point.movers == ("apart",) and roots(point.tree)[0] in (0, point.tree.span - 1):
        return "a root at an end sends once"
    return "the next root's wavelets wait beside the one before"
