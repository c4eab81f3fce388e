"""How many bytes a core's code takes: counted from the emitted streams. Knows no machine.

What a piece of code takes is measured on two published decode programs: straight-line vector
operations with their descriptors, a matrix-vector loop, a reduction's routine, and what a system needs beside code
(task table, stack, descriptors, configuration). Narrow rows are widened by one routine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct, structs

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Roots
from undiced.program.wafer.program import Stream
from undiced.program.wafer.sequences import SEQUENCES
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import DType, Value

_NUMBER = re.compile(r"'+|\.\d+$")
VECTOR_BYTES = 90  # a straight-line vector operation: rotations of 12 and 6 of them take 1,056 and 600 bytes
LOOP_BYTES = 236  # a matrix-vector product
TREE_BYTES = 424  # the routine of one reduction
CALL_BYTES = 48  # of a routine: arguments, activation of what follows
LIBRARY_BYTES = 332  # the library's division and inverse root, by removal
SYSTEM_BYTES = 3_600  # task table, stack, descriptors, configuration
_OWN_BYTES: dict[type[isa.Operation], int] = {  # of one instruction in its stream; of others a vector operation
    isa.Product: LOOP_BYTES,
    isa.Slice: 0,
    isa.Rotate: 3 * VECTOR_BYTES,
    **dict.fromkeys((isa.Apply, isa.Rebind, isa.Repaint, *isa.MOVERS), CALL_BYTES),
}


class Code(Struct, frozen=True):
    """What one stream takes: bytes of its own, and the routines that it calls, which all streams share.

    Attributes:
        functions: the vector sequences, "" for those of the library. reductions: trees, and how they join terms.
        widened: types that products widen. widening: what is widened ahead, for which the stream is called.
    """

    own: int = 0
    functions: frozenset[str] = frozenset()
    reductions: frozenset[tuple[int, str]] = frozenset()
    widened: frozenset[DType] = frozenset()
    widening: frozenset[isa.Widen] = frozenset()


def stream_code(stream: Stream, *, both: bool = False, looped: bool = False) -> Code:
    """The code of a stream.

    Args:
        both: single tokens and chunks, for which products are loops of their own.
        looped: what differs from an instruction before in the numbers and primes of its operands' names alone is that
            one, in a later pass of a loop.

    Streams that differ in what they widen ahead alone are one code, with calls beside it.
    """
    mine = [i for i in stream.instructions if isinstance(i, isa.Widen)]
    if mine or any(isinstance(i, isa.Product) and i.ahead for i in stream.instructions):
        return Code(widening=frozenset(mine))
    instructions = _once(stream.instructions) if looped else stream.instructions
    own, values = 0, {v.name: v for v in stream.values}
    widened, functions, reductions = set[DType](), set[str](), set[tuple[int, str]]()
    for i in instructions:
        own += _OWN_BYTES.get(type(i), VECTOR_BYTES)
        if isinstance(i, isa.Product):
            own += LOOP_BYTES * both
            if (narrow := values[i.weights[0]].dtype) in FIELDS:
                widened.add(narrow)
                own += CALL_BYTES + VECTOR_BYTES  # and scales
        elif isinstance(i, isa.Apply):
            functions.add(i.function if i.by == "vectors" else "")
        elif isinstance(i, isa.Reduce):
            reductions.add((_tree(values.get(i.result)), i.operation))
    return Code(own, frozenset(functions), frozenset(reductions), frozenset(widened))


def beside(narrow: Stream, wide: Stream) -> Code:
    """The code of a stream with 16-bit weights where another runs that differs from it in those alone: they share
    everything but their products."""
    if [_unscratched(i) for i in narrow.instructions] != [_unscratched(i) for i in wide.instructions]:
        return stream_code(wide)
    return Code(LOOP_BYTES * sum(isinstance(i, isa.Product) and bool(i.scratch) for i in narrow.instructions))


def _unscratched(i: isa.Operation) -> isa.Operation:
    """As it is with wider weights: without room to widen them in."""
    return structs.replace(i, scratch="") if isinstance(i, isa.Product) and i.scratch else i


def joined_bytes(codes: Iterable[Code]) -> int:
    """Code and system of a core that runs streams of such codes. Functions and reductions are routines, each there
    once."""
    found = tuple(codes)
    functions = frozenset[str]().union(*(code.functions for code in found))
    reductions = frozenset[tuple[int, str]]().union(*(code.reductions for code in found))
    widened = frozenset[DType]().union(*(code.widened for code in found))
    widening = frozenset[isa.Widen]().union(*(code.widening for code in found))
    routines = sum(len(SEQUENCES[name]) * VECTOR_BYTES if name else LIBRARY_BYTES for name in functions)
    routines += sum(len(field.steps) * VECTOR_BYTES for dtype in widened for field in FIELDS[dtype])
    calls = len(widening) * CALL_BYTES
    return SYSTEM_BYTES + sum(code.own for code in found) + calls + routines + len(reductions) * TREE_BYTES


def code_bytes(streams: Iterable[Stream]) -> int:
    """Code and system of a core that runs the streams, token by token."""
    return joined_bytes(map(stream_code, streams))


def _tree(value: Value | None) -> int:
    parts = (*value.rows, *value.columns) if value is not None else ()
    return next((part.tree for part in reversed(parts) if isinstance(part, Roots)), -1)


def _once(instructions: tuple[isa.Instruction, ...]) -> Iterator[isa.Instruction]:
    passed = set[isa.Instruction]()
    for i in instructions:
        first = _numberless(i)
        if first not in passed:
            passed.add(first)
            yield i


def _numberless(i: isa.Instruction) -> isa.Instruction:
    """With its operands' names as they are in a loop's first pass."""

    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(plain(each) for each in value)
        return _NUMBER.sub("", value) if isinstance(value, str) else value

    return structs.replace(i, **{name: plain(getattr(i, name)) for name in i.__struct_fields__})
