"""The figures of a machine that the simulator needs, as plain numbers. None of them has a value here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from undiced.machine.wafer import Wafer

_RATE_TERMS = 64


@dataclass(frozen=True, slots=True)
class Hardware:
    """What routers, ramps and queues have.

    Attributes:
        ramp, hop: cycles from a core to its router or back, and from one router to the next.
        run, pause: cycles in a row in which a link passes wavelets, and those that it then stands still.
        router_words: wavelets that a router holds of each color and port.
        inputs, outputs: depths of queues, 0 for none.
        bound: whether an output queue serves one color until it is bound again.
        colors, threads: how many there are.
    """

    ramp: int
    hop: int
    run: int
    pause: int
    router_words: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    bound: bool
    colors: int
    threads: int

    @classmethod
    def of(cls, wafer: Wafer, *, link_rate: float | None = None) -> Hardware:
        """The figures of `wafer`; `link_rate`: wavelets a cycle, instead of its own (1.0: links never pause)."""
        rate = Fraction(link_rate or wafer.link.wavelets_per_cycle.value).limit_denominator(_RATE_TERMS)
        pause = rate.denominator - rate.numerator
        queues = wafer.queues
        return cls(
            ramp=round(wafer.link.ramp_cycles.value),
            hop=round(wafer.link.hop_cycles.value),
            run=rate.numerator if pause else 0,
            pause=pause,
            router_words=int(queues.router_words.value),
            inputs=queues.depths("input"),
            outputs=queues.depths("output"),
            bound=queues.output_colors.value < wafer.mesh.colors.value,
            colors=int(wafer.mesh.colors.value),
            threads=int(wafer.core.microthreads.value),
        )
