"""What is done with memory that narrow weights leave: a buffer to widen ahead, and blocks that keep 16-bit weights.

Both spare cores the widening, and 16-bit weights are better ones, too. Each region takes as many blocks as it has room
for, those first that spare most cycles a byte. How much room the buffer has before them is tried.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from undiced.compiler.wafer.ahead import Known, buffer_bytes, with_buffer
from undiced.compiler.wafer.blocks import contents, kept_streams, taken
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.lower.lowering import PARTS
from undiced.compiler.wafer.memory import code_of, region_bytes, room_of, tables_bytes
from undiced.compiler.wafer.task import Options
from undiced.compiler.wafer.timing import latency, rank
from undiced.program.wafer.unpacking import FIELDS

_CALLS_BYTES = 400  # about what calls that widen ahead take of code
_TRIES = 3  # sizes of the buffer
_LEFT = 0.1  # of the buffer: too little to try again
_CLEAR = 1.02  # times what blocks with 16-bit weights would take without more cuts
_WORTH = 0.01  # of a token that they must be able to spare
_ALMOST = 1.01  # times what fewer regions take, for more room of keys and values
_SHARE = 0.5  # of the largest buffer, that blocks leave room for if it is worth more than them


def mixes(options: Options) -> bool:
    """Whether blocks have 16-bit weights where memory is left: for single tokens, and for chunks of none."""
    return options.choices.weights in FIELDS and options.chunk == 1 and options.filled


def widened(draft: Draft) -> Draft:
    """The fastest use of what regions leave; of drafts that are only ranked blocks or the buffer alone."""
    options, known = draft.task.options, Known()
    short = options.objective == "latency"
    full = _full(draft) if draft.wide else None
    if full is not None and short and latency(full) <= _CLEAR * _floor(draft):
        return full
    ahead = _buffered(_roomy(draft) if short else draft, known) if widens(options) else draft
    tried = [ahead, *([full] if full is not None else [])]
    even = _even(draft, _regions(draft)) if draft.wide else None
    if even is not None:
        tried += [_mixed(even, 0)] if draft.coarse else _partly(even, known, latency(ahead))
    return min(tried, key=rank)


def _partly(even: Draft, known: Known, cycles: float) -> list[Draft]:
    """With 16-bit weights in some blocks, where that spares enough of a token that takes so many cycles without."""
    enough, mixed, ahead = (1 - _WORTH) * cycles, _mixed(even, 0), widens(even.task.options)
    if latency(mixed) >= enough:
        left = int(_SHARE * buffer_bytes(even))
        if not ahead or cycles - _may_spare(even, left, cycles) >= enough:
            return []
        mixed = _mixed(even, left)
    found = _buffered(mixed, known) if ahead else mixed
    return [found] if latency(found) < enough else []


def _roomy(draft: Draft) -> Draft:
    """In whole blocks, evenly over as many regions, or over all where those have no room for the buffer."""
    need = buffer_bytes(draft) + _CALLS_BYTES
    for count in (len(draft.ends), _regions(draft)):
        even = _even(draft, count)
        if even is not None and even.room - max(region_bytes(even)) >= need:
            return even
    return even or draft


def _regions(draft: Draft) -> int:
    return draft.wafers * draft.shape.tiling(draft.task.wafer).count


def widens(options: Options) -> bool:
    """Whether weights are widened ahead of their products."""
    return options.choices.weights in FIELDS and options.chunk == 1 and options.ahead_of_products


def _every(draft: Draft) -> frozenset[int]:
    return frozenset(segment for segment, _ in draft.wide)


def _full(draft: Draft) -> Draft | None:
    """With 16-bit weights in every block, over as few regions as have room for them; None if there are not so many."""
    full = replace(draft, mixed=_every(draft))
    room = room_of(full, draft.trees, code_of(full)[0])
    full = replace(full, room=room, reserved=draft.room - room)
    free = room - tables_bytes(full)
    whole = whole_blocks(full)
    if max(size for _, size in whole) > free:
        return None
    laid = [_even(full, count) for count in (len(_filled(whole, free)), _regions(draft))]
    few, every = laid
    if few is None or every is None:
        return None
    return every if latency(every) <= _ALMOST * latency(few) else few


def _floor(draft: Draft) -> float:
    """Cycles of a token if all blocks had 16-bit weights where they are."""
    return latency(draft) - sum(cycles for cycles, _ in _gains(draft).values())


def _may_spare(draft: Draft, left: int, cycles: float) -> float:
    """What 16-bit blocks may spare of a token that takes so many cycles as widened ahead, if they leave so many bytes:
    all memory at the best rate, of what is not spared yet."""
    gains = list(_gains(draft).values())
    total = sum(spared for spared, _ in gains)
    best = max((spared / max(size, 1) for spared, size in gains), default=0.0)
    memory = sum(max(draft.room - held - left, 0) for held in region_bytes(draft))
    return best * memory * (cycles - _floor(draft)) / max(total, 1.0)


def _even(draft: Draft, regions: int) -> Draft | None:
    """In whole blocks, evenly over so many regions at most; None if some block has no room."""
    ends = evenly(whole_blocks(draft), draft.room - tables_bytes(draft), regions)
    return None if ends is None else replace(draft, ends=ends)


def whole_blocks(draft: Draft) -> list[tuple[int, int]]:
    """Of each segment: blocks up to its end, and bytes of all of them as one."""
    kept, sequences, out = kept_streams(draft), draft.task.options.bounds.batch, list[tuple[int, int]]()
    start = 0
    for _, group in groupby(draft.blocks, key=lambda block: block.kind):
        blocks = tuple(group)
        start += len(blocks)
        run = taken(draft, blocks)
        out.append((start, sum(draft.lasting[kept[part]].bytes(sequences) for part in run)))
    return out


def evenly(whole: list[tuple[int, int]], room: int, regions: int) -> tuple[int, ...] | None:
    """Ends of at most so many regions of whole segments whose fullest has least; None if none has room for its own."""
    low, high = max(size for _, size in whole), room
    if low > high or len(_filled(whole, high)) > regions:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_filled(whole, middle)) <= regions else (middle + 1, high)
    return _filled(whole, low)


def _filled(whole: list[tuple[int, int]], room: int) -> tuple[int, ...]:
    ends, used, before = list[int](), 0, 0
    for end, size in whole:
        if used + size > room and before:
            ends.append(before)
            used = 0
        used, before = used + size, end
    return (*ends, before)


def _buffered(draft: Draft, known: Known) -> Draft:
    """With what is widened ahead, in the memory that the fullest region leaves."""
    spare = draft.room - max(region_bytes(draft))
    asked, best = spare - _CALLS_BYTES, draft
    for _ in range(_TRIES):
        if asked <= 0:
            break
        found = with_buffer(draft, asked, known)
        room = room_of(found, found.trees, code_of(found)[0])
        left = spare - (draft.room - room)
        if left >= 0:
            best = replace(found, room=room, reserved=draft.reserved + draft.room - room)
        if left >= 0 and (draft.coarse or left < asked * _LEFT or asked >= buffer_bytes(draft)):
            break
        asked += left
    return best


def _mixed(draft: Draft, left: int) -> Draft:
    """With blocks of 16-bit weights in every region, as many as leave so many bytes of it."""
    gains = _gains(draft)
    one_each = {stream: segment for segment, stream in draft.wide if segment in gains}
    some = replace(draft, mixed=frozenset(one_each.values()))
    room = room_of(some, some.trees, code_of(some)[0])
    found = set[int]()
    for blocks, held in zip(contents(draft.blocks, draft.ends), region_bytes(draft), strict=True):
        spare = room - held - left - _CALLS_BYTES
        run = [segment for segment, eighths in taken(draft, blocks) if eighths == PARTS and segment in gains]
        for segment in sorted(run, key=lambda each: -gains[each][0] / max(gains[each][1], 1)):
            if gains[segment][1] <= spare:
                spare -= gains[segment][1]
                found.add(segment)
    if not found:
        return draft
    mixed = replace(draft, mixed=frozenset(found))
    mixed = replace(mixed, room=room_of(mixed, mixed.trees, code_of(mixed)[0]))
    fits = max(region_bytes(mixed)) <= mixed.room  # what they take of code is there in regions without any, too
    return replace(mixed, reserved=draft.room - mixed.room) if fits else draft


def _gains(draft: Draft) -> dict[int, tuple[float, int]]:
    """Of each block that gains by it: cycles that 16-bit weights spare, and bytes more that they take."""
    parts, sequences = dict(draft.parts), draft.task.options.bounds.batch
    out = {}
    for segment, wide in draft.wide:
        narrow = parts[segment, PARTS]
        cycles = draft.cycles[narrow] - draft.cycles[wide]
        size = draft.lasting[wide].bytes(sequences) - draft.lasting[narrow].bytes(sequences)
        if cycles > 0:
            out[segment] = cycles, size
    return out
