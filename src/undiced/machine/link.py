"""The wires between cores and what collectives over them cost beside the wire. Knows no mesh size and no program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the fabric and the free parameters of the software that drives it. Each field says what it is."""

    wavelet_bytes: Annotated[Constant, "payload of a wavelet"]
    wavelets_per_cycle: Annotated[Constant, "sustained rate of one link in one direction"]
    hop_cycles: Annotated[Constant, "router to router"]
    ramp_cycles: Annotated[Constant, "router to core, or back"]
    step_software_cycles: Annotated[
        Constant, "each dependent step of a collective, beside two ramps, one cycle and the hops"
    ]
    collective_entry_cycles: Annotated[
        Constant, "what a collective costs once, whatever its steps: starting, and cores that wait"
    ]
    star_member_cycles: Annotated[Constant, "software of a star's root for each member whose payload it adds"]
    multicast_start_cycles: Annotated[Constant, "ramps of a multicast"]
    multicast_skew_cycles: Annotated[Constant, "what late cores and dispatch add to a multicast"]
    route_write_cycles: Annotated[Constant, "one register written to give a color another route"]
    timer_cycles: Annotated[Constant, "what a pair of time stamps takes of the interval between them"]
    column_overlap_words: Annotated[
        Constant, "words a core of a gathered column whose handling hides behind the others'"
    ]
