"""Fits the free parameters on the calibration rows and says what they tell: `undiced validate --calibrate`.

Each problem is a small nonlinear least squares over relative errors, given what the problems before it found. The
rank of its Jacobian over all parameters, assumed ones included, tells whether the rows identify them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.validation.calibration_rows import calibration_rows
from undiced.validation.lab import Lab
from undiced.validation.row import ValidationRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Values = dict[str, float]  # by field of `CostModel`

_STEP = 1e-4
_ITERATIONS = 40
_RANK_TOLERANCE = 1e-6
_SLOPES_LAST = 6  # iterations for which a Jacobian is used before it is taken again
_CONVERGED = 1e-8
_READ_OFF = frozenset({"K2"})  # the preset of straight-line set-up is read off it


@dataclass(frozen=True, slots=True)
class Problem:
    """Parameters of one machine fitted on some rows; `assumed` are parameters that the same rows depend on."""

    machine: str
    fitted: tuple[str, ...]  # fields of CostModel
    assumed: tuple[str, ...]
    rows: tuple[ValidationRow, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """A solved problem.

    Attributes:
        values: of fitted and assumed parameters.
        errors: relative error of each row.
        rank: of the Jacobian over fitted and assumed parameters; condition: of the one over fitted parameters alone,
            each by its own relative change.
        identified_by: for each fitted parameter, each row's share in telling it; shares add up to one.
        deviations: standard deviation of each fitted parameter that the noise of its rows leaves, all else given.
    """

    problem: Problem
    values: Values
    errors: tuple[float, ...]
    rank: int
    condition: float
    identified_by: dict[str, tuple[float, ...]]
    deviations: dict[str, float]


def problems() -> tuple[Problem, ...]:
    """The calibrations of each machine, in the order in which they build on each other."""
    rows = calibration_rows()

    def pick(*ids: str) -> tuple[ValidationRow, ...]:
        return tuple(row for row in rows if row.id in ids)

    shared = ("multicast_skew", "collective_entry")
    return (
        Problem(
            "wse2",
            ("vector_setup", "transcendental", "step_software"),
            ("local_task", *shared),
            pick("V14", "V18a", "V21a"),
        ),
        Problem("wse3", ("multicast_start", "link_rate"), ("timer",), pick("V01", "V03")),
        Problem("wse3", ("data_task", "column_overlap_words"), (), pick("V07")),
        Problem("wse3", ("vector_setup",), ("loop_iteration",), pick("K1")),
        Problem(
            "wse3",
            ("step_software", "draw"),
            ("transcendental", "route_write", "scalar_step", *shared),
            pick("S29", "S27"),
        ),
    )


def met_by_construction() -> frozenset[str]:
    """Ids of calibration rows that can't fail: fitted with as many constants as rows, or a preset is what they say."""
    exact = (problem for problem in problems() if len(problem.fitted) >= len(problem.rows))
    return _READ_OFF | {row.id for problem in exact for row in problem.rows}


def presets(machine: str) -> CostModel:
    """The parameters that the machine's description holds."""
    return CostModel.of(find_machine(machine))


def residuals(problem: Problem, values: Values) -> NDArray[np.float64]:
    """Relative error of each row under `values`."""
    import numpy as np

    lab = Lab({problem.machine: values})
    return np.array([row.simulate(lab) / row.published - 1 for row in problem.rows if row.published])


def _slopes(problem: Problem, values: Values, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Change of relative errors by change of each parameter, relative where the parameter is larger than one."""
    import numpy as np

    columns = []
    for name in names:
        scale = max(abs(values[name]), 1.0)
        step = scale * _STEP
        up = residuals(problem, {**values, name: values[name] + step})
        down = residuals(problem, {**values, name: values[name] - step})
        columns.append((up - down) / (2 * step) * scale)
    return np.array(columns).T


def fitted(problem: Problem, given: Values) -> tuple[Values, NDArray[np.float64]]:
    """`given` with the problem's parameters fitted, and each row's relative error. Starts from the presets."""
    import numpy as np

    model = presets(problem.machine)
    values = {**given, **{name: float(getattr(model, name)) for name in problem.fitted}}
    errors = residuals(problem, values)
    for iteration in range(_ITERATIONS):
        if iteration % _SLOPES_LAST == 0:
            inverse = np.linalg.pinv(_slopes(problem, values, problem.fitted))
        change = -inverse @ errors
        largest = float(np.abs(change).max())
        if largest < _CONVERGED:
            break
        for name, delta in zip(problem.fitted, change * min(1.0, 0.5 / largest), strict=True):
            values[name] += float(delta) * max(abs(values[name]), 1.0)
        errors = residuals(problem, values)
    return values, errors


def solve(problem: Problem, given: Values) -> Fit:
    """The problem's parameters under `given`, and what its rows tell about them."""
    import numpy as np

    names = problem.fitted + problem.assumed
    model = presets(problem.machine)
    values, errors = fitted(problem, {**{n: float(getattr(model, n)) for n in problem.assumed}, **given})
    slopes = _slopes(problem, values, names)
    every = np.linalg.svd(slopes, compute_uv=False)
    mine = slopes[:, : len(problem.fitted)]
    singular = np.linalg.svd(mine, compute_uv=False)
    inverse = np.linalg.pinv(mine)
    shares = inverse * mine.T  # the diagonal of the resolution, row by row
    noise = np.array([row.noise or 0.0 for row in problem.rows])
    spread = np.sqrt(((inverse * noise) ** 2).sum(axis=1))
    return Fit(
        problem,
        {name: values[name] for name in names},
        tuple(map(float, errors)),
        int((every > _RANK_TOLERANCE * every[0]).sum()),
        float(singular[0] / singular[-1]),
        {name: tuple(map(float, row)) for name, row in zip(problem.fitted, shares, strict=True)},
        {n: float(s) * max(abs(values[n]), 1.0) for n, s in zip(problem.fitted, spread, strict=True)},
    )


def calibrate(progress: Callable[[float, str], None] | None = None) -> list[Fit]:
    """Every problem in order, each under what those of its machine before it found. `progress` hears how far it is."""
    found: dict[str, Values] = {}
    fits: list[Fit] = []
    for problem in (all_problems := problems()):
        if progress is not None:
            progress(len(fits) / len(all_problems), f"Fitting {', '.join(problem.fitted)}")
        given = found.setdefault(problem.machine, {})
        fits.append(solve(problem, given))
        given.update({name: fits[-1].values[name] for name in problem.fitted})
    return fits


def as_dict(fit: Fit) -> dict[str, object]:
    """For `undiced validate --calibrate --json`."""
    ids = [f"{row.id}: {row.what}" for row in fit.problem.rows]
    return {
        "machine": fit.problem.machine,
        "fitted": {name: fit.values[name] for name in fit.problem.fitted},
        "assumed": {name: fit.values[name] for name in fit.problem.assumed},
        "rank": fit.rank,
        "parameters": len(fit.values),
        "condition": fit.condition,
        "deviations": fit.deviations,
        "identified_by": {n: dict(zip(ids, shares, strict=True)) for n, shares in fit.identified_by.items()},
        "errors": [
            {"id": row.id, "what": row.what, "error": error}
            for row, error in zip(fit.problem.rows, fit.errors, strict=True)
        ],
    }
