"""How much of a core's memory a draft takes: code and system, registers, what moves, and what regions keep."""

from __future__ import annotations

from undiced.compiler.wafer.addresses import Map, state_values
from undiced.compiler.wafer.blocks import contents, kept_streams, taken
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.lower.lowering import PARTS
from undiced.machine.arithmetic import banks
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.code import beside, joined_bytes, stream_code
from undiced.program.wafer.elementwise import PIECE
from undiced.program.wafer.sequences import REGISTERS
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES


def room_of(draft: Draft, trees: tuple[Tree, ...], code: int) -> int:
    """Bytes of a core that code, states and the fullest moment of any stream leave."""
    layout = memory_map(draft, trees)
    _, base = layout.states(state_values(draft.streams), code + registers_of(draft))
    ahead = {stream for _, stream in draft.widening}  # whose activations are those of what they stand for
    top = max(layout.scan(stream, base)[1] for n, stream in enumerate(draft.streams) if n not in ahead)
    return int(draft.task.wafer.core.sram_bytes.value) - top


def memory_map(draft: Draft, trees: tuple[Tree, ...]) -> Map:
    """What maps of a draft's memory follow."""
    options = draft.task.options
    return Map(trees, banks(draft.task.wafer.core), options.lanes, options.bounds.batch, options.chunk)


def code_of(draft: Draft) -> tuple[int, dict[int, int]]:
    """Bytes of code and system: of all streams of layers, since a region may run any; parts of a block are one code.
    And of code that only the regions with an end of the model have, by stream."""
    options = draft.task.options
    if options.code_bytes is not None:
        return options.code_bytes, {}
    ends = {stream for (number, _), stream in draft.parts if draft.task.segments[number].layer < 0}
    ways = {"both": options.both, "looped": options.choices.head_by_head}
    common = [stream_code(draft.streams[n], **ways) for n in _anywhere(draft, ends)]
    common += [beside(draft.streams[narrow], draft.streams[wide]) for narrow, wide in _twins(draft)]
    base = joined_bytes(common)
    return base, {n: joined_bytes([*common, stream_code(draft.streams[n], **ways)]) - base for n in ends}


def _anywhere(draft: Draft, ends: set[int]) -> list[int]:
    """Streams that any region may run, but for those with 16-bit weights where others run the same with narrow ones."""
    parts, wide = dict(draft.parts), dict(draft.wide)
    run = {wide[n] if n in draft.mixed else parts[n, PARTS] for n in range(len(draft.task.segments))}
    left = ({stream for _, stream in draft.parts} | set(wide.values())) - run | ends
    left |= {stream for _, stream in _twins(draft)}
    return [n for n in range(len(draft.streams)) if n not in left]


def _twins(draft: Draft) -> set[tuple[int, int]]:
    """Streams of blocks that have narrow weights in some layers and 16-bit ones in others."""
    parts = dict(draft.parts)
    narrow = {parts[n, PARTS] for n in range(len(draft.task.segments)) if n not in draft.mixed}
    both = ((parts[n, PARTS], stream) for n, stream in draft.wide if n in draft.mixed)
    return {(own, stream) for own, stream in both if own in narrow}


def registers_of(draft: Draft) -> int:
    """Bytes of the registers in which functions take a chunk piece by piece."""
    if draft.task.options.chunk == 1:
        return 0
    functions = {i.function for s in draft.streams for i in s.instructions if isinstance(i, isa.Apply)}
    return max((REGISTERS[name] for name in functions), default=0) * int(PIECE * BYTES[DType.F32])


def tables_bytes(draft: Draft) -> int:
    """What tables by position take in every region."""
    kept = zip(draft.streams, draft.lasting, strict=True)
    return sum(lasts.fixed for stream, lasts in kept if stream.name == "tables")


def region_bytes(draft: Draft) -> list[int]:
    """What lasts on the fullest core of each region; of parts that are not written as much as their blocks."""
    kept, sequences = kept_streams(draft), draft.task.options.bounds.batch
    out = []
    for blocks in contents(draft.blocks, draft.ends):
        run = taken(draft, blocks)
        if all(part in kept for part in run):
            held = sum(draft.lasting[kept[part]].bytes(sequences) for part in run)
        else:
            held = sum(block.bytes_per_core for block in blocks)
        out.append(held + tables_bytes(draft))
    return out
