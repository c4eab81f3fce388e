"""The 64-byte record of a host instruction, laid out by the instruction table. The native engine's input.

A record begins with the operation code and the flags, two bytes each. Fields follow in the table's order, four bytes
each and little-endian; truth values are bits of the flags, in the same order. The rest is zero. C++ structs have this
very layout (mirror.py writes them).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any

from undiced.program.host.instr import Instr
from undiced.program.host.table import code_of, flags_of, words_of

INSTR_BYTES = 64
_HEAD_BYTES = 4


@cache
def _writer(row: type[Instr]) -> Callable[[Instr], bytes]:
    """What makes the record of an instruction of this row."""
    names, flags, code = [field.name for field in words_of(row)], tuple(flags_of(row)), code_of(row)
    words = "".join(field.form[0] for field in words_of(row))
    record = struct.Struct(f"<HH{words}{INSTR_BYTES - _HEAD_BYTES - 4 * len(words)}x")
    assert record.size == INSTR_BYTES
    pack, values = record.pack, _values(names)

    def written(instr: Instr) -> bytes:
        return pack(code, sum(getattr(instr, name) << bit for bit, name in enumerate(flags)), *values(instr))

    return written


def _values(names: list[str]) -> Callable[[Instr], tuple[Any, ...]]:
    """What reads these attributes of an instruction."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda instr: tuple(getattr(instr, name) for name in names)


def encode(instrs: Iterable[Instr]) -> bytes:
    """The instructions as 64-byte records."""
    return b"".join(_writer(type(instr))(instr) for instr in instrs)
