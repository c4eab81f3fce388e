"""How many bytes a core's code takes: counted from the emitted streams. Knows no machine.

What a piece of code takes is measured on two published decode programs: straight-line vector
operations with their descriptors, a matrix-vector loop, a reduction's routine, and what a system needs beside code
(task table, stack, descriptors, configuration). Narrow rows are widened by one routine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import structs

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Roots
from undiced.program.wafer.program import Stream
from undiced.program.wafer.sequences import SEQUENCES
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import DType

_NUMBER = re.compile(r"'+|\.\d+$")
VECTOR_BYTES = 90  # a straight-line vector operation: rotations of 12 and 6 of them take 1,056 and 600 bytes
LOOP_BYTES = 236  # a matrix-vector product
TREE_BYTES = 424  # the routine of one reduction
CALL_BYTES = 48  # of a routine: arguments, activation of what follows
LIBRARY_BYTES = 332  # the library's division and inverse root, by removal
SYSTEM_BYTES = 3_600  # task table, stack, descriptors, configuration


def code_bytes(streams: Iterable[Stream], trees: tuple[Tree, ...], *, both: bool = False, looped: bool = False) -> int:
    """Code and system of a core that runs the streams. Functions and reductions are routines, each there once.

    Args:
        both: single tokens and chunks, for which products are loops of their own.
        looped: what differs from an instruction before in the numbers and primes of its operands' names alone is that
            one, in a later pass of a loop.

    Streams that differ in what they widen ahead alone are one code, with calls beside it.
    """
    total, routines = SYSTEM_BYTES, 0
    widened, widening = set[DType](), set[isa.Widen]()
    functions: set[str] = set()
    reductions: set[tuple[int, str]] = set()
    for stream in streams:
        mine = [i for i in stream.instructions if isinstance(i, isa.Widen)]
        if mine or any(isinstance(i, isa.Product) and i.ahead for i in stream.instructions):
            widening |= set(mine)
            continue
        types = {v.name: v.dtype for v in stream.values}
        roots = {v.name: part.tree for v in stream.values for part in (*v.rows, *v.columns) if isinstance(part, Roots)}
        passed: set[isa.Instruction] = set()
        for i in stream.instructions:
            if looped:
                first = _numberless(i)
                if first in passed:
                    continue
                passed.add(first)
            total += _own_bytes(i) * (2 if both and isinstance(i, isa.Product) else 1)
            if isinstance(i, isa.Product) and (narrow := types[i.weights[0]]) in FIELDS:
                widened.add(narrow)
                total += CALL_BYTES + VECTOR_BYTES  # and scales
            if isinstance(i, isa.Apply):
                functions.add(i.function if i.by == "vectors" else "")
            if isinstance(i, isa.Reduce):
                reductions.add((roots.get(i.result, -1), i.operation))
    routines += sum(len(SEQUENCES[name]) * VECTOR_BYTES if name else LIBRARY_BYTES for name in functions)
    routines += sum(len(field.steps) * VECTOR_BYTES for dtype in widened for field in FIELDS[dtype])
    total += len(widening) * CALL_BYTES
    return total + routines + len(reductions) * TREE_BYTES


def _numberless(i: isa.Instruction) -> isa.Instruction:
    """With its operands' names as they are in a loop's first pass."""

    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(plain(each) for each in value)
        return _NUMBER.sub("", value) if isinstance(value, str) else value

    return structs.replace(i, **{name: plain(getattr(i, name)) for name in i.__struct_fields__})


def _own_bytes(i: isa.Instruction) -> int:
    """Of one instruction in its stream."""
    if isinstance(i, isa.Product):
        return LOOP_BYTES
    if isinstance(i, isa.Slice):
        return 0
    if isinstance(i, isa.Rotate):
        return 3 * VECTOR_BYTES
    if isinstance(i, (isa.Apply, isa.Rebind, isa.Repaint, *isa.MOVERS)):
        return CALL_BYTES
    return VECTOR_BYTES
