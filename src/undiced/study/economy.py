"""Economy: what a million tokens cost on systems that are bought, powered and partly used. Draws in, draws out.

Knows neither wafers nor GPUs: both hand in watts and tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.machine.interval import Interval
from undiced.machine.prices import Prices
from undiced.machine.ranges import Assumed, draws

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_HOURS, _MILLION, _W_KW = 8766.0, 1e6, 1e-3


@dataclass(frozen=True, slots=True)
class Expense:
    """US$ a million tokens: bought, powered, both; tokens a US$."""

    capital: Interval
    energy: Interval
    total: Interval
    tokens_per_usd: Interval

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "usd_per_million_tokens": self.total.as_dict(),
            "capital_usd_per_million_tokens": self.capital.as_dict(),
            "energy_usd_per_million_tokens": self.energy.as_dict(),
            "tokens_per_usd": self.tokens_per_usd.as_dict(),
        }


def price_draws(prices: Prices, count: int) -> dict[str, Numbers]:
    """Every figure, drawn over its range; what has none is the same in every draw."""
    import numpy as np

    figures = dict(prices.constants())
    ranged = tuple(Assumed(name, *each.span) for name, each in figures.items() if each.span[0] < each.span[1])
    found = list(draws(ranged, count))
    return {name: np.array([one.get(name, each.value) for one in found]) for name, each in figures.items()}


def expense(
    drawn: dict[str, Numbers], paid_usd: Numbers, idle_w: Numbers, token_j: Numbers, tokens_per_second: Numbers
) -> Expense:
    """Of systems that cost `paid_usd`, take `idle_w` at the wall without work and `token_j` more for each token.

    `tokens_per_second` is their capacity, of which a share is used.
    """
    hourly = paid_usd * (1 + drawn["surround"]) / (drawn["years"] * _HOURS)
    used = tokens_per_second * drawn["utilization"]
    watts = idle_w + token_j * used
    powered = watts * _W_KW * drawn["overhead"] * drawn["power_price"]
    tokens = used * 3600 / _MILLION
    capital, energy = hourly / tokens, powered / tokens
    total = capital + energy
    return Expense(Interval.of(capital), Interval.of(energy), Interval.of(total), Interval.of(_MILLION / total))
