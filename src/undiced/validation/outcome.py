"""A published row beside its simulated value. Knows how far off it is, not how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from undiced.core.errors import InvalidRequestError
from undiced.validation.calibration import met_by_construction
from undiced.validation.calibration_rows import calibration_rows
from undiced.validation.lab import Lab
from undiced.validation.open_rows import open_rows
from undiced.validation.row import ValidationRow


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row with its simulated value."""

    row: ValidationRow
    simulated: float

    @property
    def can_fail(self) -> bool:
        """Whether the simulator could have missed it: not if as many constants were fitted on it as it has rows."""
        return not (self.row.calibration and self.row.id in met_by_construction())

    @property
    def error(self) -> float | None:
        """Relative error, or None without a published value."""
        return self.simulated / self.row.published - 1 if self.row.published else None

    @property
    def passed(self) -> bool | None:
        """Whether the error is within the row's tolerance; None for rows that are reported only or can't fail."""
        if not self.can_fail or self.row.tolerance is None or self.error is None:
            return None
        return abs(self.error) <= self.row.tolerance

    def as_dict(self) -> dict[str, object]:
        """For `undiced validate --json`."""
        row = self.row
        return {
            "id": row.id,
            "what": row.what,
            "kind": "calibration" if row.calibration else "open",
            "published": row.published,
            "simulated": self.simulated,
            "error": self.error,
            "unit": row.unit,
            "provenance": row.provenance,
            "source": row.source,
            "clock": row.clock,
            "tolerance": row.tolerance,
            "can_fail": self.can_fail,
            "passed": self.passed,
        }


def validate(progress: Callable[[float, str], None] | None = None, only: Collection[str] = ()) -> list[Outcome]:
    """Simulate every calibration and open row with the machines' own parameters, or those of some ids.

    Args:
        progress: hears a share, and what is simulated.

    Raises:
        InvalidRequestError: an id that no row has.
    """
    lab = Lab()
    rows = calibration_rows() + open_rows()
    known = dict.fromkeys(row.id for row in rows)
    if unknown := next((each for each in only if each not in known), None):
        raise InvalidRequestError(f"No row is called {unknown[:40]!r}.", remedy=f"Known: {', '.join(known)}.")
    rows = [row for row in rows if not only or row.id in only]
    outcomes = []
    for done, row in enumerate(rows):
        if progress is not None:
            progress(done / len(rows), f"Simulating {row.id}")
        outcomes.append(Outcome(row, row.simulate(lab)))
    return outcomes
