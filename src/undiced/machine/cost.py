"""What costs are made of: `CostModel`, a machine's figures as plain numbers, and `Cost`, cycles split by where they go.

Knows no operation: what each one costs is in collective.py, vector.py and instruction.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from undiced.machine.wafer import Wafer


@dataclass(frozen=True, slots=True)
class Cost:
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
        return {field.name: getattr(self, field.name) for field in fields(self)}


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
    local_task: float
    data_task: float
    emit: float
    fp32_fmac: float
    cache_bytes: float
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
        core, link = wafer.core, wafer.link
        return cls(
            lanes_16bit=core.lanes_16bit.value,
            lanes_32bit=core.lanes_32bit.value,
            read_bytes=core.read_bytes_per_cycle.value,
            write_bytes=core.write_bytes_per_cycle.value,
            vector_setup=core.vector_setup_cycles.value,
            straight_setup=core.straight_setup_cycles.value,
            loop_iteration=core.loop_iteration_cycles.value,
            transcendental=core.transcendental_cycles.value,
            scalar_step=core.scalar_step_cycles.value,
            local_task=core.local_task_cycles.value,
            data_task=core.data_task_cycles.value,
            emit=core.emit_cycles.value,
            fp32_fmac=core.fp32_fmac_cycles.value,
            cache_bytes=core.cache_bytes.value,
            wavelet_bytes=link.wavelet_bytes.value,
            link_rate=link.wavelets_per_cycle.value,
            hop=link.hop_cycles.value,
            ramp=link.ramp_cycles.value,
            step_software=link.step_software_cycles.value,
            collective_entry=link.collective_entry_cycles.value,
            star_member=link.star_member_cycles.value,
            multicast_start=link.multicast_start_cycles.value,
            multicast_skew=link.multicast_skew_cycles.value,
            route_write=link.route_write_cycles.value,
            timer=link.timer_cycles.value,
            column_overlap_words=link.column_overlap_words.value,
        )
