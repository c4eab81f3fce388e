"""Waterfall: one speed over another, split into factors that follow each other, and what they leave. With a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.machine.interval import Interval
from undiced.machine.roofline import DRAWS

if TYPE_CHECKING:
    from undiced.draw.canvas import Canvas


@dataclass(frozen=True, slots=True)
class Step:
    """One factor, and the speeds before and behind it."""

    what: str
    factor: Interval
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From one speed to another, in tokens a second. `over`: of what factors are taken. The last step is the rest."""

    start: float
    end: float
    gpus: str
    factors: tuple[tuple[str, Interval], ...]
    over: str

    @property
    def steps(self) -> list[Step]:
        """Every factor and the rest, by medians."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step]:
        at = self.start
        for what, factor in self.factors:
            yield Step(what, factor, at, at * factor.median)
            at *= factor.median
        rest = self.end / at
        yield Step("rest: what is not explained", Interval(rest, rest, rest), at, self.end)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        steps = [
            {"what": one.what, "factor": one.factor.as_dict(), "start": one.start, "end": one.end} for one in self.steps
        ]
        return {"start": self.start, "end": self.end, "gpus": self.gpus, "steps": steps}


def draw_waterfall(fall: Waterfall) -> Canvas:
    """Bars of equal ratios, each from where the one before ends; whiskers are 5 % and 95 % of its factor alone."""
    from undiced.draw.bars import Bar, Bars, draw

    ends = [Bar(f"a GPU service, as cited (taken for {fall.gpus})", fall.start, f"{fall.start:,.0f} tokens/s", kind=1)]
    for step in fall.steps[:-1]:
        low, high = step.start * step.factor.low, step.start * step.factor.high
        words = f"x {step.factor.median:.3g} ({step.factor.low:.3g} to {step.factor.high:.3g})"
        ends.append(Bar(step.what, step.end, words, step.start, low, high))
    last = fall.steps[-1]
    ends.append(Bar(last.what, last.end, f"x {last.factor.median:.3g}", last.start, kind=2))
    ends.append(Bar("wafers, as cited", fall.end, f"{fall.end:,.0f} tokens/s", kind=1))
    notes = (f"Wafers: {fall.over}. GPUs: a roofline, {DRAWS} draws.",)
    kinds = ("computed", "published", "left over")
    title = f"Llama 3.3 70B: what {fall.end / fall.start:.0f} times are made of"
    return draw(Bars(title, notes, "tokens per second of one user", tuple(ends), powers=True, kinds=kinds))
