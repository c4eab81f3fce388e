"""A whole token of a compiled program, wavelet by wavelet, wafer by wafer, beside the clock's closed forms.

Cores hold zeros. What goes from wafer to wafer takes links whose time the closed forms say. Knows no command.
"""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.wafer import Wafer
from undiced.program.wafer.program import WaferProgram
from undiced.sim.fabric.layer import Layer, Manner, see_position, simulated
from undiced.sim.fabric.lower.legs import legs_of, lower_token, memories


@dataclass(frozen=True, slots=True)
class Legs:
    """What was simulated, wafer by wafer: a token, or a layer on one.

    Attributes:
        wafers: the number of each leg's wafer.
        each: what its runs took, one leg after the other; one that did not come to its end is the last.
    """

    wafers: tuple[int, ...]
    each: tuple[Layer, ...]

    @property
    def link_cycles(self) -> float:
        """Between wafers, by closed forms."""
        return sum(leg.link_cycles for leg in self.each)

    @property
    def cycles(self) -> float:
        """On all wafers, simulated, and between them."""
        return sum(leg.outcome.cycles for leg in self.each) + self.link_cycles

    @property
    def clock_cycles(self) -> float:
        """By closed forms."""
        return sum(leg.clock_cycles for leg in self.each)

    @property
    def moving(self) -> tuple[float, float]:
        """The cycles in which a mover is under way, as of a layer; between wafers all of them."""
        clock, fabric = (sum(leg.moving[which] for leg in self.each) + self.link_cycles for which in range(2))
        return clock, fabric


def simulate_token(program: WaferProgram, wafer: Wafer, how: Manner, *, position: int, token: int = 0) -> Legs:
    """A whole token at a position: all runs of all regions, from its embedding to the next token, which is back where
    embeddings are.

    Raises:
        UnsupportedError: an instruction has no level 2. InvalidRequestError: no such position.
    """
    see_position(program, position)
    legs = lower_token(program, token=token, position=position, wafer=wafer)
    layers = [[run.layer for n in numbers for run in program.regions[n].runs] for numbers in legs_of(program)]
    held = memories(legs, [{}] * sum(len(each) for each in layers))
    found = list[Layer]()
    for number, leg in enumerate(legs):
        if number:
            leg.receive(held[legs[number - 1].wafer], held[leg.wafer])
        found.append(simulated(leg.run, wafer, how, layers[number], memory=held[leg.wafer]))
        if found[-1].outcome.status != "finished":
            break
    return Legs(tuple(leg.wafer for leg in legs[: len(found)]), tuple(found))
