"""How many tokens of one sequence may be under way at once, or taken back: what a program's rings of positions keep.

A cache of a sliding window is a ring. A token overwrites the position that left its window, so that tokens before it
that still are to come, or come again once it turned out wrong, may miss it: a ring keeps a position more for each.
"""

from __future__ import annotations

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.program import WaferProgram


def tokens_ahead(program: WaferProgram) -> int:
    """Tokens from the first whose window is kept whole to the last that is written; the context without windows."""
    found = [program.bounds.context]
    for stream in program.streams:
        values = {value.name: value for value in stream.values}
        for i in stream.instructions:
            if isinstance(i, isa.Mask) and (i.window or i.chunk):
                size = next(dim.size for dim in values[i.a].dims if dim.name == POSITION)
                if size < program.bounds.context:
                    found.append(size - (i.window or i.chunk) + 1)
    return min(found)
