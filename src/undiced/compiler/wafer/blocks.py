"""The model in order as blocks that regions take, and what a region then runs. Knows no instruction.

A head that shares its matrix with the embedding lies beside it, in the first block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from undiced.compiler.wafer.draft import Draft, Neighbors
from undiced.compiler.wafer.lower.lowering import PARTS
from undiced.compiler.wafer.lower.segments import BACK, INSIDE
from undiced.compiler.wafer.partition import Block


def blocks_of(draft: Draft) -> tuple[Block, ...]:
    """Every segment, or the eighths of one that regions may cut; `Block.kind` is the segment's number.

    Blocks of a draft that is not timed yet take no cycles.
    """
    parts, sequences = dict(draft.parts), draft.task.options.bounds.batch
    out = []
    for number, segment in enumerate(draft.task.segments[:-1] if draft.task.tied else draft.task.segments):
        grain = draft.grains[number]
        together = _together(draft, number)
        whole = sum(draft.cycles[parts[each, PARTS]] for each in together) if draft.cycles else 0.0
        held = sum(draft.lasting[parts[each, grain]].bytes(sequences) for each in together)
        out += [Block(str(number), segment.layer, held, whole * grain / PARTS)] * (PARTS // grain)
    return tuple(out)


def _together(draft: Draft, segment: int) -> tuple[int, ...]:
    """A segment, and the head beside the embedding that it shares its matrix with."""
    return (0, len(draft.task.segments) - 1) if draft.task.tied and segment == 0 else (segment,)


def contents(blocks: tuple[Block, ...], ends: tuple[int, ...]) -> Iterator[tuple[Block, ...]]:
    """Each region's blocks, in order."""
    start = 0
    for end in ends:
        yield blocks[start:end]
        start = end


def taken(draft: Draft, blocks: tuple[Block, ...]) -> list[tuple[int, int]]:
    """(segment, eighths) that a region runs: parts of one segment that lie together run as one, a head last."""
    counts = Counter(block.kind for block in blocks)
    runs = [
        (each, count * draft.grains[each]) for kind, count in counts.items() for each in _together(draft, int(kind))
    ]
    return sorted(runs)


def neighbors(draft: Draft, run: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], Neighbors | None]]:
    """Of each (segment, eighths) that a region runs: what is beside it; None of what is no whole block of a layer."""
    kept = kept_streams(draft)

    def at(number: int) -> tuple[int, int]:
        """Stream and layer; -1 for what takes no part."""
        if not 0 <= number < len(run):
            return -1, 0
        segment, eighths = run[number]
        layer = draft.task.segments[segment].layer
        whole = eighths == PARTS and layer >= 0
        return (kept[segment, eighths], layer) if whole else (-1, 0)

    for number, part in enumerate(run):
        (before, earlier), (stream, layer), (following, next_layer) = at(number - 1), at(number), at(number + 1)
        since, later = (layer - earlier if before >= 0 else 0), (next_layer - layer if following >= 0 else 0)
        yield part, Neighbors(stream, before, since, following, later) if stream >= 0 else None


def streamed(draft: Draft, run: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], int | None]]:
    """Each (segment, eighths) that a region runs, and the stream that stands for its own one there, if one does."""
    widening, kept = dict(draft.widening), kept_streams(draft)
    for part, found in neighbors(draft, run):
        own = kept[part] if part[0] in draft.mixed else None
        yield part, widening.get(found, own) if found is not None else own


def kept_streams(draft: Draft) -> dict[tuple[int, int], int]:
    """The stream of each (segment, eighths) that is written, as far as what it keeps is concerned."""
    return dict(draft.parts) | {(n, PARTS): stream for n, stream in draft.wide if n in draft.mixed}


def region_cycles(draft: Draft, arrivals: dict[str, float]) -> list[float]:
    """Cycles of each region, the arrival of the hidden state included."""
    tiling = draft.shape.tiling(draft.task.wafer)
    parts = dict(draft.parts)
    out: list[float] = []
    before = ""
    for number, blocks in enumerate(contents(draft.blocks, draft.ends)):
        arrival = tiling.arrival(number) + (INSIDE if blocks[0].kind == before else "")
        before = blocks[-1].kind
        total = sum(
            _part_cycles(draft, parts, *part) if stream is None else draft.cycles[stream]
            for part, stream in streamed(draft, taken(draft, blocks))
        )
        out.append(total + (arrivals[arrival] if number else 0.0) + arrivals["tables"])
    out[0] += arrivals[BACK] if draft.task.tied and len(out) > 1 else 0.0
    return out


def _part_cycles(draft: Draft, parts: dict[tuple[int, int], int], segment: int, eighths: int) -> float:
    """As written, or on the line between the smallest part and the whole."""
    if (segment, eighths) in parts:
        return draft.cycles[parts[segment, eighths]]
    grain = draft.grains[segment]
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
        done += draft.grains[segment]
        pieces = (_part_cycles(draft, parts, segment, eighths) for eighths in (done, PARTS - done))
        out.append(sum(pieces) - _part_cycles(draft, parts, segment, PARTS))
    return tuple(out)
