"""What costs are made of: `CostModel`, a machine's figures as plain numbers, and `Cost`, cycles split by where they go.

Knows no operation: what each one costs is in arithmetic.py, lines.py and ring.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache

from msgspec import Struct
from msgspec.structs import asdict

from undiced.machine.core import Core
from undiced.machine.link import Link
from undiced.machine.wafer import Wafer


class Cost(Struct, frozen=True, gc=False):
    """Cycles on the critical path, by what they are spent on.

    compute: arithmetic and memory ports · collective: payload on the wires, ramps and the adders of dependent steps ·
    overhead: set-ups, tasks, software of collectives · hops: distance · io: off the wafer.
    """

    compute: float = 0.0
    collective: float = 0.0
    overhead: float = 0.0
    hops: float = 0.0
    io: float = 0.0

    @property
    def cycles(self) -> float:
        """The sum."""
        return self.compute + self.collective + self.overhead + self.hops + self.io

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.compute + other.compute,
            self.collective + other.collective,
            self.overhead + other.overhead,
            self.hops + other.hops,
            self.io + other.io,
        )

    def __mul__(self, times: float) -> Cost:
        return Cost(
            self.compute * times, self.collective * times, self.overhead * times, self.hops * times, self.io * times
        )

    def as_dict(self) -> dict[str, float]:
        """Cycles by kind."""
        return asdict(self)


ZERO = Cost()


def longest(*costs: Cost) -> Cost:
    """The one with the most cycles: what concurrent paths cost."""
    return max(costs, key=lambda cost: cost.cycles)


@dataclass(frozen=True, slots=True)
class CostModel:
    """A machine's figures as plain numbers, in cycles unless named otherwise; `Core` and `Link` say what each means."""

    lanes_16bit: float
    lanes_32bit: float
    read_bytes: float
    write_bytes: float
    vector_setup: float
    straight_setup: float
    loop_iteration: float
    transcendental: float
    scalar_step: float
    draw: float
    local_task: float
    data_task: float
    emit: float
    wavelet_bytes: float
    link_rate: float
    hop: float
    ramp: float
    step_software: float
    collective_entry: float
    star_member: float
    multicast_start: float
    multicast_skew: float
    route_write: float
    timer: float
    column_overlap_words: float

    @classmethod
    def of(cls, wafer: Wafer) -> CostModel:
        """The figures of `wafer`."""
        return cls(**{name: getattr(getattr(wafer, part), constant).value for name, part, constant in _figures()})


_OTHER_NAMES = {
    "read_bytes": "read_bytes_per_cycle",
    "write_bytes": "write_bytes_per_cycle",
    "link_rate": "wavelets_per_cycle",
}


@cache
def _figures() -> tuple[tuple[str, str, str], ...]:
    """Each figure's name here, the part of a wafer that it belongs to, and its name there."""
    parts = [(part, {field.name for field in fields(kind)}) for part, kind in (("core", Core), ("link", Link))]
    out = []
    for field in fields(CostModel):
        names = (_OTHER_NAMES.get(field.name, field.name), f"{field.name}_cycles")
        out += [(field.name, part, name) for part, known in parts for name in names if name in known]
    return tuple(out)


def repriced(wafer: Wafer, values: Mapping[str, float]) -> Wafer:
    """`wafer` with other figures, by their names in `CostModel`."""
    for name, part, constant in _figures():
        if name in values:
            section = getattr(wafer, part)
            other = replace(getattr(section, constant), value=values[name])
            wafer = replace(wafer, **{part: replace(section, **{constant: other})})
    return wafer
