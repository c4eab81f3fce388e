"""What things cost: systems, what stands around them, energy. Hardly any of it is published; ranges say how far off.

Knows no machine. Whoever knows better gives ranges of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Annotated

from undiced.core.errors import InvalidRequestError
from undiced.core.option import option
from undiced.machine.constant import Constant, assumed


@dataclass(frozen=True, slots=True)
class Prices:
    """What a year of a system is made of. Each field says what it is."""

    system_price: Annotated[Constant, "of a system with one wafer, US$"]
    surround: Annotated[Constant, "of that again for hosts, network and room"]
    years: Annotated[Constant, "after which it is written off"]
    power_price: Annotated[Constant, "US$ a kWh"]
    overhead: Annotated[Constant, "power of the whole room over that of the systems"]
    utilization: Annotated[Constant, "of its capacity that is used, on average over the years"]

    def constants(self) -> Iterator[tuple[str, Constant]]:
        """Every figure with its name."""
        for field in fields(self):
            yield field.name, getattr(self, field.name)

    def given(self, name: str, low: float, high: float) -> Prices:
        """The same with a range of the asker's.

        Raises:
            InvalidRequestError: ends that are swapped, or that make no sense.
        """
        least, most = _BOUNDS[name]
        if not least <= low <= high <= most:
            told = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            raise InvalidRequestError(
                f"A {name.replace('_', ' ')} of {told} makes no sense.",
                remedy=f"Use {option(name, f'{least:g}')} to {most:g}; a range as 2-3, the smaller end first.",
            )
        before: Constant = getattr(self, name)
        return replace(self, **{name: assumed((low + high) / 2, before.unit, "as asked", low, high)})


_BOUNDS = {
    "system_price": (1.0, 1e9),
    "surround": (0.0, 10.0),
    "years": (0.1, 30.0),
    "power_price": (0.0, 10.0),
    "overhead": (1.0, 5.0),
    "utilization": (0.01, 1.0),
}
PRICES = Prices(
    system_price=assumed(2.5e6, "US$", "secondary sources: 2 to 3 million", 2e6, 3e6),
    surround=assumed(0.2, "1", "hosts, switches, pumps, installation", 0.1, 0.35),
    years=assumed(4.0, "year", "what accelerators are written off in", 3.0, 6.0),
    power_price=assumed(0.08, "US$/kWh", "industrial tariffs", 0.04, 0.15),
    overhead=assumed(1.25, "1", "cooling and distribution of a room", 1.1, 1.5),
    utilization=assumed(0.5, "1", "day and night, and what is kept for peaks", 0.2, 0.8),
)
