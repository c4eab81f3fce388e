"""Cores that fail while a machine runs: how often, what each failure takes, and how much of a year is left.

Failures of cores are independent and equally likely at all times. Who fails costs a remedy: cores of its row move on to
a spare, their weights come again, and the text so far is read again. A wafer whose failure no link passes is replaced:
at once by a spare wafer, as long as there is one, else after days. Closed forms; draws nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from undiced.core.errors import CompileError
from undiced.machine.constant import assumed
from undiced.machine.wafer import Wafer

HOURS_OF_YEAR = 8766.0
CORE_MTBF_HOURS = assumed(
    1e10, "h", "not published: 0.1 failures of a core in a billion hours, as small blocks of logic have", 1e9, 1e11
)
SWAP_HOURS = assumed(0.1, "h", "loading a whole model onto a spare wafer that runs", 0.02, 0.5)
REPLACE_HOURS = assumed(72, "h", "a wafer taken out of its system and another put in", 24, 336)
_REMEDY = "Use hours, minutes and counts that are positive."


@dataclass(frozen=True, slots=True)
class Availability:
    """A year of so many wafers.

    Attributes:
        failures: cores that fail. repaired: of them those that a spare column takes over; replaced: those that cost the
            wafer. remedy_s: what each repair takes.
        lost_h: hours of the year without service. share: of the year that is left.
    """

    failures: float
    repaired: float
    replaced: float
    remedy_s: float
    lost_h: float

    @property
    def share(self) -> float:
        """Of the year in which it serves."""
        return max(0.0, 1 - self.lost_h / HOURS_OF_YEAR)


def availability(
    wafer: Wafer, wafers: int, remedy_s: float, mtbf_hours: float = CORE_MTBF_HOURS.value, spare_wafers: int = 0
) -> Availability:
    """A year of a model on `wafers`, all of which must work, with `spare_wafers` beside them.

    A failure is lost to the wafer if a core beside it in its row is dead already: as the year goes on there are more of
    them. The spare wafers of a year are those that stand ready in its beginning.

    Raises:
        CompileError: a figure that makes no sense.
    """
    if not (wafers >= 1 and remedy_s >= 0 and mtbf_hours > 0 and spare_wafers >= 0):
        raise CompileError("Wafers, seconds and hours between failures make no sense.", remedy=_REMEDY)
    each = wafer.mesh.cores * HOURS_OF_YEAR / mtbf_hours
    beside = 2 * (each / 2) / wafer.mesh.cores  # of its two neighbors, one is dead, on average over a year
    replaced = each * min(1.0, beside) * wafers
    failures = each * wafers
    swapped = _expected_up_to(replaced, spare_wafers)
    lost = (failures - replaced) * remedy_s / 3600
    lost += swapped * SWAP_HOURS.value + (replaced - swapped) * REPLACE_HOURS.value
    return Availability(failures, failures - replaced, replaced, remedy_s, lost)


def _expected_up_to(mean: float, most: int) -> float:
    """How many of a Poisson number of events there are on average, `most` counted."""
    chance, left, found = exp(-mean), 1.0, 0.0
    for number in range(1, most + 1):
        left -= chance
        found += max(0.0, left)
        chance *= mean / number
    return min(found, mean)
