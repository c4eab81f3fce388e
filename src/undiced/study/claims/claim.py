"""Claim: what was said, the rule of its verdict, and how it is computed. Result: what came of it. Data alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from undiced.machine.interval import Interval
from undiced.study.claims.verdict import Verdict

if TYPE_CHECKING:
    from undiced.draw.canvas import Canvas
    from undiced.study.claims.bench import Bench


@dataclass(frozen=True, slots=True)
class Finding:
    """One computed figure; `value` is an interval where something is drawn. `source`: of figures that are published."""

    what: str
    value: Interval | float | str
    unit: str = ""
    source: str = "computed"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        value = self.value.as_dict() if isinstance(self.value, Interval) else self.value
        return {"what": self.what, "value": value, "unit": self.unit, "source": self.source}


@dataclass(frozen=True, slots=True)
class Result:
    """What a claim's computation found. `draw` makes its figure, if it has one."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    draw: Callable[[], Canvas] | None = None
    data: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the interview.

    Attributes:
        name: how a user asks for it. said: what was claimed, in our words. rule: when it counts as reproduced, and what
            is looked for if not. figure: what its picture is called, if it has one.
    """

    name: str
    said: str
    rule: str
    compute: Callable[[Bench], Result]
    figure: str = ""

    @property
    def command(self) -> str:
        """What computes it."""
        return f"undiced claims {self.name}"

    def as_dict(self, result: Result) -> dict[str, object]:
        """For JSON."""
        return {
            "name": self.name,
            "said": self.said,
            "command": self.command,
            "rule": self.rule,
            "verdict": {**asdict(result.verdict), "text": result.verdict.text},
            "findings": [each.as_dict() for each in result.findings],
            **dict(result.data),
        }
