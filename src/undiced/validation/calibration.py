"""Fits the free parameters on the calibration rows, says what they can't tell: `undiced validate --calibrate`.

Each problem is a small nonlinear least squares over relative errors. The rank of the Jacobian over all parameters,
assumed ones included, tells whether the rows identify them; assumed ones are moved to both ends and the rest refitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.validation.lab import Lab
from undiced.validation.rows import ValidationRow, calibration_rows, open_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STEP = 1e-4
_ITERATIONS = 40
_RANK_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Assumed:
    """A parameter that no row of its problem identifies, and its range."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Problem:
    """Parameters of one machine fitted on some rows."""

    machine: str
    fitted: tuple[str, ...]  # fields of CostModel
    assumed: tuple[Assumed, ...]
    rows: tuple[ValidationRow, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """A solved problem: values by name, relative error of each row, rank over fitted and assumed parameters."""

    problem: Problem
    values: dict[str, float]
    errors: tuple[float, ...]
    rank: int
    parameters: int


@dataclass(frozen=True, slots=True)
class End:
    """An assumed parameter at an end of its range: the refitted problem, and the relative error of row V16."""

    name: str
    value: float
    fit: Fit
    v16_error: float


def problems() -> tuple[Problem, ...]:
    """The independent calibrations."""
    rows = calibration_rows()

    def pick(*ids: str, mode: str = "") -> tuple[ValidationRow, ...]:
        return tuple(row for row in rows if row.id in ids and mode in row.what)

    multicast = ("V01", "V02", "V03", "V04")
    return (
        Problem(
            "wse2",
            ("vector_setup", "transcendental", "step_software"),
            (_range("wse2", "local_task"),),
            pick("V14", "V18a", "V21a"),
        ),
        Problem(
            "wse3",
            ("multicast_start", "link_rate"),
            (_range("wse3", "timer"),),
            pick(*multicast, mode="fastest") + pick("V05"),
        ),
        Problem("wse3", ("late_wavelet", "late_limit"), (), pick(*multicast, mode="median")),
        Problem("wse3", ("data_task", "emit", "column_overlap_words"), (), pick("V06", "V07")),
        Problem(
            "wse3",
            ("transcendental", "step_software", "scalar_step"),
            (_range("wse3", "vector_setup"), _range("wse3", "repaint")),
            pick("S27", "S29", "S29b"),
        ),
    )


_FIELDS = {
    "local_task": "core.local_task_cycles",
    "vector_setup": "core.vector_setup_cycles",
    "repaint": "link.repaint_cycles",
    "timer": "link.timer_cycles",
}


def _range(machine: str, name: str) -> Assumed:
    constants = dict(find_machine(machine).constants())
    return Assumed(name, *constants[_FIELDS[name]].span)


def residuals(problem: Problem, values: dict[str, float]) -> NDArray[np.float64]:
    """Relative error of each row under `values`."""
    import numpy as np

    lab = Lab({problem.machine: values})
    return np.array([row.simulate(lab) / row.published - 1 for row in problem.rows if row.published])


def _jacobian(problem: Problem, values: dict[str, float], names: tuple[str, ...]) -> NDArray[np.float64]:
    """Change of relative errors by relative change of each parameter."""
    import numpy as np

    columns = []
    for name in names:
        step = max(abs(values[name]), 1.0) * _STEP
        up = residuals(problem, {**values, name: values[name] + step})
        down = residuals(problem, {**values, name: values[name] - step})
        columns.append((up - down) / (2 * step) * max(abs(values[name]), 1.0))
    return np.array(columns).T


def solve(problem: Problem, fixed: dict[str, float] | None = None) -> Fit:
    """Gauss-Newton from the machine's present values, with `fixed` parameters replaced."""
    import numpy as np

    model = CostModel.of(find_machine(problem.machine))
    names = problem.fitted + tuple(a.name for a in problem.assumed)
    values = {name: float(getattr(model, name)) for name in names} | (fixed or {})
    for _ in range(_ITERATIONS):
        errors = residuals(problem, values)
        jacobian = _jacobian(problem, values, problem.fitted)
        change = np.linalg.lstsq(jacobian, -errors, rcond=None)[0]
        scale = min(1.0, 0.5 / max(float(np.abs(change).max()), 1e-12))
        for name, delta in zip(problem.fitted, change, strict=True):
            values[name] += scale * float(delta) * max(abs(values[name]), 1.0)
        if float(np.abs(change).max()) < 1e-9:
            break
    singular = np.linalg.svd(_jacobian(problem, values, names), compute_uv=False)
    rank = int((singular > _RANK_TOLERANCE * singular[0]).sum())
    return Fit(problem, values, tuple(float(e) for e in residuals(problem, values)), rank, len(names))


def _overrides(fits: list[Fit]) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {"wse2": {}, "wse3": {}}
    for fit in fits:
        out[fit.problem.machine].update(fit.values)
    return out


def _print_fit(fit: Fit) -> None:
    print(f"{fit.problem.machine}: {', '.join(sorted({row.id for row in fit.problem.rows}))}")
    for name in fit.problem.fitted:
        print(f"  {name:<22} {fit.values[name]:10.4f}  fitted")
    for parameter in fit.problem.assumed:
        held = f"assumed, {parameter.low:g} to {parameter.high:g}"
        print(f"  {parameter.name:<22} {fit.values[parameter.name]:10.4f}  {held}")
    print(f"  Jacobian rank {fit.rank} of {fit.parameters} parameters, {len(fit.errors)} rows")
    for row, error in zip(fit.problem.rows, fit.errors, strict=True):
        print(f"    {row.id:<5} {error:+8.2%}  {row.what}")


def ends(base: list[Fit]) -> Iterator[End]:
    """Each assumed parameter at both ends of its range, the others of its problem refitted."""
    v16 = next(row for row in open_rows() if row.id == "V16")
    assert v16.published
    for index, fit in enumerate(base):
        for parameter in fit.problem.assumed:
            for value in (parameter.low, parameter.high):
                moved = solve(fit.problem, {parameter.name: value})
                lab = Lab(_overrides([*base[:index], moved, *base[index + 1 :]]))
                yield End(parameter.name, value, moved, v16.simulate(lab) / v16.published - 1)


def _print_end(end: End) -> None:
    fit = end.fit
    values = ", ".join(f"{name} {fit.values[name]:.2f}" for name in fit.problem.fitted)
    print(
        f"  {fit.problem.machine} {end.name} = {end.value:g}: {values}; worst row {max(map(abs, fit.errors)):.2%}; "
        f"V16 {end.v16_error:+.2%}"
    )


def report() -> None:
    """Fit everything and print values, residuals, ranks and ranges."""
    fits = [solve(problem) for problem in problems()]
    for fit in fits:
        _print_fit(fit)
    print("assumed parameters at both ends, the others refitted")
    for end in ends(fits):
        _print_end(end)


def as_dicts() -> dict[str, object]:
    """What `report` prints, for scripts."""
    fits = [solve(problem) for problem in problems()]
    moved = [
        {"name": end.name, "value": end.value, "fit": _as_dict(end.fit), "v16_error": end.v16_error}
        for end in ends(fits)
    ]
    return {"fits": [_as_dict(fit) for fit in fits], "ends": moved}


def _as_dict(fit: Fit) -> dict[str, object]:
    return {
        "machine": fit.problem.machine,
        "fitted": {name: fit.values[name] for name in fit.problem.fitted},
        "assumed": {a.name: {"value": fit.values[a.name], "low": a.low, "high": a.high} for a in fit.problem.assumed},
        "rank": fit.rank,
        "parameters": fit.parameters,
        "errors": [
            {"id": row.id, "what": row.what, "error": error}
            for row, error in zip(fit.problem.rows, fit.errors, strict=True)
        ],
    }
