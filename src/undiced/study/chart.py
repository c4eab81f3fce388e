"""Rows as a chart: the numbers that differ most along the axis, a line for each combination of the other choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from undiced.core.errors import InvalidRequestError
from undiced.draw.chart import Chart, Series
from undiced.study.rows import Row

_NUMBERS = ("context", "wafers_given", "batch", "layers", "clock_hz", "sum_bits")
_CHOICES = ("model", "machine", "weights", "mapping", "objective", "phase")
_AXES = {
    "context": "context, tokens", "wafers_given": "wafers", "batch": "sequences at once", "layers": "layers",
    "clock_hz": "clock, GHz", "sum_bits": "bits of a partial sum",
}  # fmt: skip
_NAMES: dict[str, Callable[[float], str]] = {
    "context": lambda tokens: f"context {tokens:,.0f}",
    "wafers_given": lambda count: f"{count:,.0f} wafer{'s' * (count != 1)}",
    "batch": lambda count: f"batch {count:,.0f}",
    "layers": lambda count: f"{count:,.0f} layer{'s' * (count != 1)}",
    "clock_hz": lambda rate: f"{rate / 1e9:g} GHz",
    "sum_bits": lambda bits: f"sums of {bits:.0f} bits",
}
_SCALES = {"clock_hz": 1e-9}


def chart(rows: Sequence[Row]) -> Chart:
    """Tokens per second of one user, of all rows that fit.

    Raises:
        InvalidRequestError: none does.
    """
    fit = [row for row in rows if row["tokens_per_second"] is not None]
    if not fit:
        raise InvalidRequestError(
            "Nothing that was asked for fits: there is nothing to draw.",
            remedy="Leave --plot out to see what would fit.",
        )
    varied = [name for name in (*_CHOICES, *_NUMBERS) if len({row[name] for row in fit}) > 1]
    numbers = [name for name in _NUMBERS if name in varied]
    along = max(numbers, key=lambda name: len({row[name] for row in fit}), default="")
    others = [name for name in varied if name != along]
    if not along:
        return _of_choices(rows, fit, others)
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in fit:
        point = _number(row, along) * _SCALES.get(along, 1.0), _number(row, "tokens_per_second")
        lines.setdefault(_name(row, others), []).append(point)
    series = tuple(Series(name, tuple(sorted(points))) for name, points in lines.items())
    return Chart(_title(fit), _notes(rows, fit), _AXES[along], _y(fit), series)


def _of_choices(rows: Sequence[Row], fit: list[Row], others: list[str]) -> Chart:
    """A point for each combination, side by side."""
    points = tuple((float(number), _number(row, "tokens_per_second")) for number, row in enumerate(fit))
    names = tuple(_name(row, others) or "as asked" for row in fit)
    return Chart(_title(fit), _notes(rows, fit), ", ".join(others), _y(fit), (Series("", points),), names)


def _number(row: Row, name: str) -> float:
    return float(row[name] or 0)


def _name(row: Row, names: list[str]) -> str:
    """A combination, in words."""
    return ", ".join(_NAMES[name](_number(row, name)) if name in _NAMES else str(row[name]) for name in names)


def _title(fit: list[Row]) -> str:
    models, machines = (", ".join(dict.fromkeys(str(row[name]) for row in fit)) for name in ("model", "machine"))
    return f"{models} on {machines}"


def _y(fit: list[Row]) -> str:
    clocks = sorted({_number(row, "clock_hz") / 1e9 for row in fit})
    return f"tokens/s of one user, simulated at {', '.join(f'{clock:g}' for clock in clocks)} GHz"


def _notes(rows: Sequence[Row], fit: list[Row]) -> tuple[str, ...]:
    """What is not drawn, and what is drawn all the same."""
    left, timed = len(rows) - len(fit), sum(not row["fits"] for row in fit)
    found = []
    if left:
        found.append(f"{left} of {len(rows)} points {_do(left)} not fit: not drawn.")
    if timed:
        found.append(f"{timed} of {len(rows)} points {_do(timed)} not fit: timed as published.")
    return tuple(found)


def _do(count: int) -> str:
    return "does" if count == 1 else "do"
