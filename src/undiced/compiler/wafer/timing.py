"""What a draft takes: a stream by its critical path, a token, the slowest region."""

from __future__ import annotations

from math import ceil

from undiced.compiler.wafer.blocks import region_cycles
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.lower.segments import BACK, INSIDE
from undiced.machine.timeline import critical_path
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares

ARRIVALS = (BACK, *(name + inside for name in ("enter", "enter, turning", "off wafer") for inside in ("", INSIDE)))


def stream_cycles(draft: Draft, number: int) -> float:
    """Cycles of a stream by itself, with the draft's trees, in the step that it is made fast for."""
    stream = draft.streams[number]
    known = draft.task.known_cycles
    key = stream, draft.trees
    if key not in known:
        known[key] = cycles_of(draft, stream)
    return known[key]


def cycles_of(draft: Draft, stream: Stream) -> float:
    """Of a stream that is not in the draft."""
    values, step = {value.name: value for value in stream.values}, draft.task.options.step
    shares = Shares(values, draft.trees, step.ending if stream.last else step)
    clock = draft.task.wafer.system.clock_hz.value
    return critical_path(draft.task.wafer, stream.instructions, shares, clock).cost.cycles


def wafers_of(draft: Draft) -> int:
    """Wafers that hold at least one region."""
    return ceil(len(draft.ends) / draft.shape.tiling(draft.task.wafer).count)


def latency(draft: Draft) -> float:
    """Cycles from a token to the next."""
    back = [c for s, c in zip(draft.streams, draft.cycles, strict=True) if s.name == "return"]
    return sum(region_cycles(draft, arrivals(draft))) + sum(back)


def interval(draft: Draft) -> float:
    """Cycles of the slowest region."""
    return max(region_cycles(draft, arrivals(draft)))


def rank(draft: Draft) -> tuple[float, float]:
    """Cycles of what was asked for, then of a token."""
    asked = interval(draft) if draft.task.options.objective == "interval" else latency(draft)
    return asked, latency(draft)


def arrivals(draft: Draft) -> dict[str, float]:
    """Cycles of what regions start with, by stream."""
    found = {s.name: c for s, c in zip(draft.streams, draft.cycles, strict=True)}
    return {name: found.get(name, 0.0) for name in (*ARRIVALS, "tables")}
