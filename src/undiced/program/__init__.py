"""The compiled artifact: instructions, regions, weight slots. Knows neither graph nor machine, only their digests."""

from undiced.program.isa import INSTRUCTIONS, Activation, Flag, Instr, Op, Partition
from undiced.program.program import Bounds, Buffer, KvLayer, Program, Rect, Region, Stream

__all__ = [
    "INSTRUCTIONS",
    "Activation",
    "Bounds",
    "Buffer",
    "Flag",
    "Instr",
    "KvLayer",
    "Op",
    "Partition",
    "Program",
    "Rect",
    "Region",
    "Stream",
]
