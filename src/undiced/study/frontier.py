"""Frontier: how many users of which context a number of wafers serves at once, and how fast each of them is.

Every point is the best of several placements: for one user's latency and for a short interval between tokens, with
sequences one by one and in lockstep. Everything is simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from undiced.core.errors import CompileError, InvalidRequestError
from undiced.core.mapping import Objective
from undiced.draw.chart import Chart, Series
from undiced.study.question import OURS, Placed, Question, place

if TYPE_CHECKING:
    from undiced.sim.frontier import Point
    from undiced.sim.routing import Crowd

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Best:
    """A point, and the placement that it is had with."""

    point: Point
    objective: str
    region: str

    def as_dict(self) -> dict[str, float | str]:
        """For JSON."""
        return {**self.point.as_dict(), "objective": self.objective, "region": self.region}


@dataclass(frozen=True, slots=True)
class Frontier:
    """All points of a model on so many wafers, by context and then by users.

    Attributes:
        untried: what could not be placed, and why.
    """

    model: str
    machine: str
    wafers: int
    clock_hz: float
    points: tuple[Best, ...]
    untried: tuple[str, ...]
    crowd: Crowd | None

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "model": self.model,
            "machine": self.machine,
            "wafers": self.wafers,
            "clock_hz": self.clock_hz,
            "provenance": "simulated",
            "points": [each.as_dict() for each in self.points],
            "untried": list(self.untried),
            **({} if self.crowd is None else {"experts": self.crowd.as_dict()}),
        }


def frontier(
    asked: Question, contexts: Sequence[int], lockstep: Sequence[int], progress: Progress | None = None
) -> Frontier:
    """The frontier of a model.

    Args:
        asked: model, machine, wafers (the fewest that hold it at the shortest context by default), number formats.
        contexts: that are looked at. lockstep: numbers of sequences in lockstep that are tried.

    Raises:
        CompileError: the model does not fit. InvalidRequestError: a published mapping, or an empty list.
    """
    if asked.mapping != OURS:
        raise InvalidRequestError("Published mappings have no frontier.", remedy="Leave the mapping out.")
    if not contexts or not lockstep or min(*contexts, *lockstep) < 1:
        raise InvalidRequestError(
            "A frontier needs contexts, and numbers of sequences in lockstep.", remedy="Name at least one of each."
        )
    tell, asked = progress or (lambda share, what: None), replace(asked, frontier=True, context=min(contexts))
    placed = list(_placements(asked, sorted(set(lockstep)), tell))
    found = [each for _, _, each in placed if isinstance(each, Placed)]
    if not found:
        raise next(each for _, _, each in placed if isinstance(each, CompileError))
    untried = tuple(f"{name}, {n} in lockstep: {each}" for name, n, each in placed if isinstance(each, CompileError))
    best: dict[tuple[int, int], Best] = {}
    crowd = None
    for name, _, each in placed:
        if isinstance(each, Placed):
            points, crowd = _points(each, asked, sorted(set(contexts)))
            for point in points:
                key = point.context, point.users
                if key not in best or point.tokens_per_second > best[key].point.tokens_per_second:
                    best[key] = Best(point, name, _region(each))
    wafer = found[0].wafer
    clock = asked.clock_hz or wafer.system.clock_hz.value
    wafers = max(each.program.wafers for each in found)
    points_found = tuple(best[key] for key in sorted(best))
    return Frontier(found[0].program.model, wafer.name, asked.wafers or wafers, clock, points_found, untried, crowd)


def _placements(
    asked: Question, lockstep: Sequence[int], tell: Progress
) -> Iterator[tuple[str, int, Placed | CompileError]]:
    """Each objective on its best regions, which are then kept for more in lockstep."""
    objectives, done = get_args(Objective), 0
    for objective in objectives:
        region: str | tuple[int, int] = asked.region
        for count in lockstep:
            tell(done / (len(objectives) * len(lockstep)), f"Placing for {objective}, {count} in lockstep")
            done += 1
            wanted = replace(asked, objective=objective, lockstep=count, batch=count, region=region)
            try:
                made = place(wanted)
            except CompileError as error:
                yield objective, count, error
                continue
            if asked.wafers is None:
                asked = replace(asked, wafers=made.program.wafers)
            rect = made.program.regions[0].rect
            region = rect.width, rect.height
            yield objective, count, made


def _points(placed: Placed, asked: Question, contexts: Sequence[int]) -> tuple[list[Point], Crowd | None]:
    from undiced.program.wafer.step import Step
    from undiced.sim.frontier import held, point, timed
    from undiced.study.answer import crowd_of

    program, wafer = placed.program, placed.wafer
    lockstep = int(program.fact("lanes"))
    crowd = crowd_of(placed, replace(asked, batch=lockstep))
    shares = {} if crowd is None else {"crowd": crowd.crowd, "distinct": crowd.apart}
    points = []
    for context in contexts:
        users = [count for count, most in held(program).items() if most >= context and count >= lockstep]
        if users:
            timing = timed(program, wafer, Step(lockstep, 1, context, **shares), asked.clock_hz)
            points += [point(timing, count) for count in users]
    return points, crowd


def _region(placed: Placed) -> str:
    rect = placed.program.regions[0].rect
    return f"{rect.width}x{rect.height}"


def chart(found: Frontier) -> Chart:
    """Tokens per second of one user over users, a line for each context, as far as memory reaches."""
    lines: dict[int, list[tuple[float, float]]] = {}
    for each in found.points:
        lines.setdefault(each.point.context, []).append((float(each.point.users), each.point.tokens_per_second))
    series = tuple(Series(f"context {context:,}", tuple(points)) for context, points in lines.items())
    wafers = f"{found.wafers} x {found.machine}"
    notes = (
        "All users at once; lines end where memory does. The best of placements for latency and interval, in lockstep "
        "or one by one.",
    )
    label = f"tokens/s of one user, simulated at {found.clock_hz / 1e9:g} GHz"
    return Chart(f"{found.model} on {wafers}", notes, "users at once", label, series)
