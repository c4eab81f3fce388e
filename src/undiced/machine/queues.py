"""The queues between a core and its router: depths, and what it takes to give one another color. Knows no program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from undiced.machine.constant import Constant

_QUEUES = 8  # of each kind


@dataclass(frozen=True, slots=True)
class Queues:
    """Queues of one core. Each field says what it is."""

    input_0_words: Annotated[Constant, "depth of input queue 0; 0: it does not exist"]
    input_1_words: Annotated[Constant, "depth of input queue 1; 0: it does not exist"]
    input_2_words: Annotated[Constant, "depth of input queue 2; 0: it does not exist"]
    input_3_words: Annotated[Constant, "depth of input queue 3; 0: it does not exist"]
    input_4_words: Annotated[Constant, "depth of input queue 4; 0: it does not exist"]
    input_5_words: Annotated[Constant, "depth of input queue 5; 0: it does not exist"]
    input_6_words: Annotated[Constant, "depth of input queue 6; 0: it does not exist"]
    input_7_words: Annotated[Constant, "depth of input queue 7; 0: it does not exist"]
    output_0_words: Annotated[Constant, "depth of output queue 0; 0: it does not exist"]
    output_1_words: Annotated[Constant, "depth of output queue 1; 0: it does not exist"]
    output_2_words: Annotated[Constant, "depth of output queue 2; 0: it does not exist"]
    output_3_words: Annotated[Constant, "depth of output queue 3; 0: it does not exist"]
    output_4_words: Annotated[Constant, "depth of output queue 4; 0: it does not exist"]
    output_5_words: Annotated[Constant, "depth of output queue 5; 0: it does not exist"]
    output_6_words: Annotated[Constant, "depth of output queue 6; 0: it does not exist"]
    output_7_words: Annotated[Constant, "depth of output queue 7; 0: it does not exist"]
    router_words: Annotated[Constant, "wavelets of one color that a router holds of each of its ports"]
    reserved: Annotated[Constant, "queues of either kind, from the first, that the host's copy routines take"]
    output_colors: Annotated[Constant, "colors that an output queue serves without being bound again"]
    rebind_tasks: Annotated[
        Constant, "tasks of giving an output queue another color: one once it is empty, and one that goes on"
    ]
    rebind_writes: Annotated[Constant, "registers written then"]

    def depths(self, way: Literal["input", "output"]) -> tuple[int, ...]:
        """Wavelets that each queue of a kind holds, by its number; 0: there is none."""
        return tuple(int(getattr(self, f"{way}_{number}_words").value) for number in range(_QUEUES))
