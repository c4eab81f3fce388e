"""The model in order as blocks that regions take, and what a region then runs. Knows no instruction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.lower.lowering import PARTS
from undiced.compiler.wafer.lower.segments import INSIDE
from undiced.compiler.wafer.partition import Block


def blocks_of(draft: Draft) -> tuple[Block, ...]:
    """Every segment, or the eighths of one that regions may cut; `Block.kind` is the segment's number.

    Blocks of a draft that is not timed yet take no cycles.
    """
    parts, sequences = dict(draft.parts), draft.task.options.bounds.batch
    out = []
    for number, segment in enumerate(draft.task.segments):
        grain = grain_of(draft, number)
        stream = parts[number, grain]
        cycles = draft.cycles[parts[number, PARTS]] * grain / PARTS if draft.cycles else 0.0
        for _ in range(PARTS // grain):
            out.append(Block(str(number), segment.layer, draft.lasting[stream].bytes(sequences), cycles))
    return tuple(out)


def grain_of(draft: Draft, segment: int) -> int:
    """Eighths of a segment that regions do not cut further."""
    return min(eighths for (number, eighths), _ in draft.parts if number == segment)


def contents(blocks: tuple[Block, ...], ends: tuple[int, ...]) -> Iterator[tuple[Block, ...]]:
    """Each region's blocks, in order."""
    start = 0
    for end in ends:
        yield blocks[start:end]
        start = end


def taken(draft: Draft, blocks: tuple[Block, ...]) -> list[tuple[int, int]]:
    """(segment, eighths) that a region runs: parts of one segment that lie together run as one."""
    counts = Counter(block.kind for block in blocks)
    return [(int(kind), count * grain_of(draft, int(kind))) for kind, count in counts.items()]


def region_cycles(draft: Draft, arrivals: dict[str, float]) -> list[float]:
    """Cycles of each region, the arrival of the hidden state included."""
    tiling = draft.shape.tiling(draft.task.wafer)
    parts = dict(draft.parts)
    out: list[float] = []
    before = ""
    for number, blocks in enumerate(contents(draft.blocks, draft.ends)):
        arrival = tiling.arrival(number) + (INSIDE if blocks[0].kind == before else "")
        before = blocks[-1].kind
        total = sum(_part_cycles(draft, parts, *part) for part in taken(draft, blocks))
        out.append(total + (arrivals[arrival] if number else 0.0) + arrivals["tables"])
    return out


def _part_cycles(draft: Draft, parts: dict[tuple[int, int], int], segment: int, eighths: int) -> float:
    """As written, or on the line between the smallest part and the whole."""
    if (segment, eighths) in parts:
        return draft.cycles[parts[segment, eighths]]
    grain = grain_of(draft, segment)
    low, high = draft.cycles[parts[segment, grain]], draft.cycles[parts[segment, PARTS]]
    return low + (high - low) * (eighths - grain) / (PARTS - grain)


def prices(draft: Draft) -> tuple[float, ...]:
    """Cycles of a cut before each block: a segment in two pieces runs twice what it would run once."""
    parts = dict(draft.parts)
    out: list[float] = []
    done = 0  # eighths of the block's segment that come before the cut
    for before, block in zip((None, *draft.blocks), draft.blocks, strict=False):
        segment = int(block.kind)
        if before is None or before.kind != block.kind:
            done = 0
            out.append(0.0)
            continue
        done += grain_of(draft, segment)
        pieces = (_part_cycles(draft, parts, segment, eighths) for eighths in (done, PARTS - done))
        out.append(sum(pieces) - _part_cycles(draft, parts, segment, PARTS))
    return tuple(out)
