"""Point: one way to run a model with so many sequences in flight: how fast for each, for all, and until it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undiced.machine.interval import Interval

Side = Literal["wafers", "gpus"]


@dataclass(frozen=True, slots=True)
class Way:
    """What points of one line share.

    Attributes:
        who: as in 8 x wse3. how: the mapping, or nothing. kind: lines of one kind have one color.
        power_w: at most, by data sheets. price_usd: to buy, a range. note: what this is not, if anything.
    """

    side: Side
    who: str
    how: str
    kind: str
    power_w: float
    price_usd: tuple[float, float]
    note: str = ""

    @property
    def name(self) -> str:
        """Of who and how."""
        return f"{self.who}, {self.how}" if self.how else self.who


@dataclass(frozen=True, slots=True)
class Point:
    """Simulated tokens per second of one user and of all `at_once`; `most`: of one user, if nothing but nominal figures
    counted.
    """

    way: Way
    at_once: int
    user: Interval
    total: Interval
    first_token_s: Interval | None
    most: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        way = self.way
        return {
            "side": way.side,
            "who": way.who,
            "how": way.how,
            "sequences": self.at_once,
            "tokens_per_second_per_user": self.user.as_dict(),
            "tokens_per_second": self.total.as_dict(),
            "time_to_first_token_s": None if self.first_token_s is None else self.first_token_s.as_dict(),
            "most_tokens_per_second_per_user": self.most,
            "power_w": way.power_w,
            "price_usd": list(way.price_usd),
            "note": way.note,
        }
