"""The wires between cores and what collectives over them cost beside the wire. Knows no mesh size and no program."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the fabric and the free parameters of the software that drives it.

    Attributes:
        wavelet_bytes: payload of a wavelet.
        wavelets_per_cycle: sustained rate of one link in one direction.
        hop_cycles: router to router; ramp_cycles: router to core or back.
        step_software_cycles: what each dependent step of a collective costs beside two ramps, one cycle and the hops.
        collective_entry_cycles: what a collective costs once, whatever its steps: starting, and cores that wait.
        star_member_cycles: software of a star's root for each member whose payload it adds.
        multicast_start_cycles: ramps of a multicast; multicast_skew_cycles: what late cores and dispatch add to it.
        route_write_cycles: one register written to give a color another route.
        timer_cycles: what a pair of time stamps takes of the interval between them.
        column_overlap_words: words a core of a gathered column whose handling hides behind the others'.
    """

    wavelet_bytes: Constant
    wavelets_per_cycle: Constant
    hop_cycles: Constant
    ramp_cycles: Constant
    step_software_cycles: Constant
    collective_entry_cycles: Constant
    star_member_cycles: Constant
    multicast_start_cycles: Constant
    multicast_skew_cycles: Constant
    route_write_cycles: Constant
    timer_cycles: Constant
    column_overlap_words: Constant
