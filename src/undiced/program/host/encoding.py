"""The 64-byte record of a host instruction, laid out by the instruction table. The native engine's input.

A record begins with the operation code and the flags, two bytes each. Fields follow in the table's order, four bytes
each and little-endian; truth values are bits of the flags, in the same order. The rest is zero. C++ structs have this
very layout (mirror.py writes them).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cache

from undiced.program.host.instr import Instr
from undiced.program.host.table import code_of, flags_of, words_of

INSTR_BYTES = 64
_HEAD_BYTES = 4


@cache
def _record(row: type[Instr]) -> struct.Struct:
    words = "".join(field.form[0] for field in words_of(row))
    record = struct.Struct(f"<HH{words}{INSTR_BYTES - _HEAD_BYTES - 4 * len(words)}x")
    assert record.size == INSTR_BYTES
    return record


def encode(instrs: Iterable[Instr]) -> bytes:
    """The instructions as 64-byte records."""
    return b"".join(map(_encoded, instrs))


def _encoded(instr: Instr) -> bytes:
    row = type(instr)
    flags = sum(getattr(instr, name) << bit for bit, name in enumerate(flags_of(row)))
    return _record(row).pack(code_of(row), flags, *(getattr(instr, field.name) for field in words_of(row)))
