"""Numbers of a finished draft that reports need: memory, and what would still fit. Knows no time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from undiced.compiler.wafer.addresses import state_values
from undiced.compiler.wafer.ahead import BUFFER
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.memory import code_of, region_bytes
from undiced.compiler.wafer.passes import sized
from undiced.compiler.wafer.task import CONTEXT_MAX
from undiced.compiler.wafer.timing import wafers_of
from undiced.program import Bounds
from undiced.program.wafer.program import ALONE, CHUNK
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import BITS

STREAMS_MAX = 1024


def facts_of(draft: Draft) -> tuple[tuple[str, float], ...]:
    """Name and value of each."""
    config, options = draft.task.graph.config, draft.task.options
    sram = int(draft.task.wafer.core.sram_bytes.value)
    fullest = max(region_bytes(draft))
    return (
        ("layers", float(config.layers)),
        ("wafers", float(wafers_of(draft))),
        ("lanes", float(options.lanes)),
        *([(CHUNK, float(options.chunk))] if options.chunk > 1 else []),
        *([(ALONE, 1.0)] if options.alone else []),
        ("regions_per_wafer", float(draft.shape.tiling(draft.task.wafer).count)),
        ("code_bytes", float(code_of(draft)[0])),
        ("sram_bytes_max_per_core", float(sram - draft.room + fullest)),
        ("free_bytes", float(draft.room - fullest)),
        *_narrow(draft),
        ("max_context_tokens", float(_further(draft) * draft.shape.grid.rows)),
        *(_frontier(draft) if options.frontier else ()),
    )


def _narrow(draft: Draft) -> list[tuple[str, float]]:
    """Of narrow weights: the share of the model's weights that have 16 bits, in how many of the blocks of layers; bytes
    that are widened ahead; and positions that the regions would hold without both."""
    if draft.task.options.choices.weights not in FIELDS:
        return []
    sizes = {slot.name: slot.rows * slot.columns for slot in draft.task.graph.slots}
    segments = draft.task.segments
    wide = sum(sizes[name] for n in draft.mixed for node in segments[n].nodes for name in node.weights)
    ahead = next((v for v in state_values(draft.streams) if v.name == BUFFER), None)
    plain = replace(draft, mixed=frozenset(), reserved=0)
    return [
        ("blocks", float(sum(segment.layer >= 0 for segment in segments))),
        ("wide_blocks", float(len(draft.mixed))),
        ("wide_share", wide / sum(sizes.values())),
        ("ahead_bytes", BITS[ahead.dtype] / 8 * ahead.dims[0].size if ahead is not None else 0.0),
        ("narrow_context_tokens", float(_further(plain) * draft.shape.grid.rows)),
    ]


def _further(draft: Draft) -> int:
    """The most rows of positions that the draft's regions have room for: looked up where memory is expected to end from
    how fast it fills, or what a descriptor's stride reaches."""
    rows, sequences = draft.shape.grid.rows, draft.task.options.bounds.batch
    now = ceil(draft.task.options.bounds.context / rows)
    before = max(1, now // 2)
    slack = [_slack(draft, sequences, count * rows) for count in (before, now)]
    if before == now or slack[0] <= slack[1] or slack[1] < 0:
        return longest_context(draft, sequences) // rows
    most, left, each = now, slack[1], (slack[0] - slack[1]) / (now - before)
    high = now + int(slack[1] / (slack[0] - slack[1]) * (now - before)) + 1
    reach, step = int(draft.task.wafer.core.stride_max.value), 1
    tried = min(reach + 1, high - 1) if now <= reach else high - 1
    while most + 1 < high:
        found = _slack(draft, sequences, tried * rows)
        if found >= 0:
            each, most, left, step = max((left - found) / (tried - most), 1.0), tried, found, 1
            tried = min(most + max(int(left / each), 1), high - 1)
        else:
            high, step = tried, 2 * step
            tried = (most + high) // 2 if most == now else max(high - step // 2, most + 1)
    return most


def _frontier(draft: Draft) -> Iterator[tuple[str, float]]:
    """The longest context of so many streams at once, doubled until none is left; `context/N` by name."""
    streams = 1
    while streams <= STREAMS_MAX and (context := longest_context(draft, streams)):
        yield f"context/{streams}", float(context)
        streams *= 2


def longest_context(draft: Draft, sequences: int) -> int:
    """The most positions of each of `sequences` for which the draft's regions still have room."""
    rows = draft.shape.grid.rows  # a core's share of positions grows once so many more are held
    low, high = 0, ceil(CONTEXT_MAX / rows)
    step = 1
    while low + step < high and _holds(draft, sequences, (low + step) * rows):
        low, step = low + step, step * 2
    high = min(high, low + step)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if _holds(draft, sequences, middle * rows) else (low, middle)
    return low * rows


def _holds(draft: Draft, sequences: int, context: int) -> bool:
    return _slack(draft, sequences, context) >= 0


def _slack(draft: Draft, sequences: int, context: int) -> int:
    """Bytes that the fullest core would have left; -1 where there is no room."""
    options = replace(draft.task.options, bounds=Bounds(sequences, context))
    made = sized(replace(draft, task=replace(draft.task, options=options)))
    if made is None:
        return -1
    return max(made.room - draft.reserved - max(region_bytes(replace(made, mixed=draft.mixed))), -1)
