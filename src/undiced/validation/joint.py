"""Joint samples of everything assumed about a machine, refitted on the calibration rows: what claims are made over.

Every assumed parameter is drawn over its whole range at once, in as many strata as there are samples. What is fitted
is fitted again under each draw; a draw whose rows are not met within their noise, or only by a negative cost, is
dropped. Seeded: the same number of samples gives the same samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

from undiced.machine import find_machine
from undiced.machine.cost import CostModel, repriced
from undiced.machine.ranges import Assumed, draws
from undiced.machine.wafer import Wafer
from undiced.validation.calibration import Problem, Values, fitted, problems

_SYSTEM = ("wafer_to_wafer_s", "io_bytes_per_s")


@dataclass(frozen=True, slots=True)
class Sample:
    """One machine that the calibration rows allow: the published one with other constants.

    Attributes:
        drawn: what was assumed, by name; nothing for the published machine itself.
    """

    wafer: Wafer
    drawn: Values = field(default_factory=dict)

    @property
    def costs(self) -> CostModel:
        """Its figures."""
        return CostModel.of(self.wafer)


def assumed(machine: str) -> tuple[Assumed, ...]:
    """Every parameter of a machine that has a range and that costs depend on."""
    names = {field.name for field in fields(CostModel)}
    found = []
    for dotted, constant in find_machine(machine).constants():
        section, _, name = dotted.partition(".")
        cost = name.removesuffix("_cycles")
        low, high = constant.span
        if low < high and (cost in names or (section == "system" and name in _SYSTEM)):
            found.append(Assumed(cost, low, high))
    return tuple(found)


def samples(machine: str, count: int) -> Iterator[Sample | None]:
    """`count` draws; None for one that the calibration rows do not allow."""
    mine = [problem for problem in problems() if problem.machine == machine]
    for drawn in draws(assumed(machine), count):
        yield _refitted(machine, mine, drawn)


def _refitted(machine: str, mine: list[Problem], drawn: Values) -> Sample | None:
    values = {name: value for name, value in drawn.items() if name not in _SYSTEM}
    for problem in mine:
        values, errors = fitted(problem, values)
        noise = (row.noise or 0.0 for row in problem.rows)
        met = all(abs(error) <= most for error, most in zip(errors, noise, strict=True))
        if not met or min(values[name] for name in problem.fitted) < 0:
            return None
    wafer = repriced(find_machine(machine), values)
    around = {name: replace(getattr(wafer.system, name), value=drawn[name]) for name in _SYSTEM}
    return Sample(replace(wafer, system=replace(wafer.system, **around)), drawn)
