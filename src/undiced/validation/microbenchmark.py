"""Closed forms of published microbenchmarks: a timed multicast, a column to one core and back. No program pays them."""

from __future__ import annotations

from undiced.machine.cost import CostModel


def line_multicast_timed(model: CostModel, payload_bytes: int, cores: int, late: bool) -> float:
    """A multicast along a line between two time stamps, in cycles; `late` is the median mode, whose receiver lags."""
    wavelets = payload_bytes / model.wavelet_bytes
    base = model.timer + model.multicast_start + wavelets / model.link_rate + max(cores - 1, 1) * model.hop
    return base + (min(model.late_wavelet * wavelets, model.late_limit) if late else 0.0)


def column_round_trip(model: CostModel, cores: int, words: int) -> float:
    """A column gathered word by word into one core by data tasks, and sent back by a scalar loop, in cycles."""
    each = model.data_task + model.emit
    return cores * (words * each - model.column_overlap_words * model.emit)
