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
        repaint_cycles: rewriting the routes of the colors of one collective.
        timer_cycles, multicast_start_cycles: a timed multicast's constant part, time stamps and start.
        late_receiver_wavelet_cycles, late_receiver_cycles: the median mode's extra cycles per wavelet, and their limit.
        column_overlap_words: words a core of a gathered column whose handling hides behind the others'.
    """

    wavelet_bytes: Constant
    wavelets_per_cycle: Constant
    hop_cycles: Constant
    ramp_cycles: Constant
    step_software_cycles: Constant
    repaint_cycles: Constant
    timer_cycles: Constant
    multicast_start_cycles: Constant
    late_receiver_wavelet_cycles: Constant
    late_receiver_cycles: Constant
    column_overlap_words: Constant
