"""How much of a core's memory a draft takes: code and system, registers, what moves, and what regions keep."""

from __future__ import annotations

from undiced.compiler.wafer.addresses import Map, state_values
from undiced.compiler.wafer.blocks import contents, taken
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.lower.lowering import PARTS
from undiced.machine.arithmetic import banks
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.code import joined_bytes, stream_code
from undiced.program.wafer.elementwise import PIECE
from undiced.program.wafer.sequences import REGISTERS
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES


def room_of(draft: Draft, trees: tuple[Tree, ...], code: int) -> int:
    """Bytes of a core that code, states and the fullest moment of any stream leave."""
    layout = memory_map(draft, trees)
    _, base = layout.states(state_values(draft.streams), code + registers_of(draft))
    top = max(layout.scan(stream, base)[1] for stream in draft.streams)
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
    left = {stream for (_, eighths), stream in draft.parts if eighths < PARTS} | ends
    codes = {
        n: stream_code(stream, both=options.both, looped=options.choices.head_by_head)
        for n, stream in enumerate(draft.streams)
        if n in ends or n not in left
    }
    common = [code for n, code in codes.items() if n not in left]
    base = joined_bytes(common)
    return base, {n: joined_bytes([*common, codes[n]]) - base for n in ends}


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
    parts, sequences = dict(draft.parts), draft.task.options.bounds.batch
    out = []
    for blocks in contents(draft.blocks, draft.ends):
        run = taken(draft, blocks)
        if all(part in parts for part in run):
            held = sum(draft.lasting[parts[part]].bytes(sequences) for part in run)
        else:
            held = sum(block.bytes_per_core for block in blocks)
        out.append(held + tables_bytes(draft))
    return out
