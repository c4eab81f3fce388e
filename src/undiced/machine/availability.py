"""Cores that fail while a machine runs: how often, what each failure takes, and how much of a year is left.

Failures of cores are independent and equally likely at all times. Who fails costs a remedy: cores of its row move on to
a spare, their weights come again, and the text so far is read again. A wafer whose failure no link passes is replaced:
at once by a spare wafer, as long as there is one, else after days. Closed forms; draws nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import exp

from undiced.core.errors import InvalidRequestError
from undiced.core.option import option
from undiced.machine.constant import assumed
from undiced.machine.silicon import DENSITY
from undiced.machine.wafer import Wafer

HOURS_OF_YEAR = 8766.0
CORE_MTBF_HOURS = assumed(
    1e10, "h", "not published: 0.1 failures of a core in a billion hours, as small blocks of logic have", 1e9, 1e11
)
SWAP_HOURS = assumed(0.1, "h", "loading a whole model onto a spare wafer that runs", 0.02, 0.5)
REPLACE_HOURS = assumed(72, "h", "a wafer taken out of its system and another put in", 24, 336)
_HOURS_MAX, _SPARES_MAX = 1e18, 1000


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How cores fail and what stands ready for it.

    Attributes:
        mtbf_hours: mean time between failures of a core. spare_wafers: that run beside the others, at the year's
            beginning. replace_hours: to replace a wafer where none is spare.

    Raises:
        InvalidRequestError: a figure that makes no sense.
    """

    mtbf_hours: float = CORE_MTBF_HOURS.value
    spare_wafers: int = 0
    replace_hours: float = REPLACE_HOURS.value

    def __post_init__(self) -> None:
        self._within("mtbf", self.mtbf_hours, 1.0, _HOURS_MAX, "hours between failures of one core")
        self._within("spare_wafers", self.spare_wafers, 0, _SPARES_MAX, "wafers that run beside the others")
        self._within("replace_hours", self.replace_hours, 0.0, HOURS_OF_YEAR, "hours in which a wafer is replaced")

    def _within(self, name: str, value: float, least: float, most: float, what: str) -> None:
        if not least <= value <= most:
            raise InvalidRequestError(
                f"{option(name, f'{value:g}')} makes no sense.", remedy=f"Use {least:g} to {most:g}: {what}."
            )


@dataclass(frozen=True, slots=True)
class Availability:
    """A year of so many wafers.

    Attributes:
        failures: cores that fail of those that are used. repaired: of them those that a spare column takes over;
            replaced: those that cost the wafer.
        lost_h: hours of the year without service.
    """

    upkeep: Upkeep
    failures: float
    repaired: float
    replaced: float
    lost_h: float

    @property
    def share(self) -> float:
        """Of the year in which it serves."""
        return max(0.0, 1 - self.lost_h / HOURS_OF_YEAR)

    def as_dict(self) -> dict[str, float]:
        """Under stable keys, for scripts."""
        return {
            **asdict(self.upkeep),
            "core_failures": self.failures,
            "cores_repaired": self.repaired,
            "wafers_replaced": self.replaced,
            "hours_lost": self.lost_h,
            "availability": self.share,
        }


def availability(wafer: Wafer, cores: int, remedy_s: float, upkeep: Upkeep) -> Availability:
    """A year of a model on so many `cores`, on wafers all of which must work.

    A failure costs the wafer if a core beside it in its row is dead already: as the wafer came, at the published
    density of defects, or since it failed; as the year goes on there are more of these. Other failures take `remedy_s`.
    """
    failures = cores * HOURS_OF_YEAR / upkeep.mtbf_hours
    worn = min(1.0, HOURS_OF_YEAR / upkeep.mtbf_hours / 2)  # of all cores, on average over the year
    beside = 2 * (DENSITY.value * wafer.mesh.core_mm2 + worn)
    replaced = failures * min(1.0, beside)
    swapped = _expected_up_to(replaced, upkeep.spare_wafers)
    lost = (failures - replaced) * remedy_s / 3600
    lost += swapped * SWAP_HOURS.value + (replaced - swapped) * upkeep.replace_hours
    return Availability(upkeep, failures, failures - replaced, replaced, min(lost, HOURS_OF_YEAR))


def _expected_up_to(mean: float, most: int) -> float:
    """How many of a Poisson number of events there are on average, `most` counted."""
    chance, left, found = exp(-mean), 1.0, 0.0
    for number in range(1, most + 1):
        left -= chance
        found += max(0.0, left)
        chance *= mean / number
    return min(found, mean)
