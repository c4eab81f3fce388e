"""What wafer programs are in files: msgpack of their structures, read strictly and held against every rule.

Files are untrusted. A payload must be exactly what its program is written as, so that nothing in it goes unread.
"""

from __future__ import annotations

import msgspec

from undiced.core.errors import CompileError
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.verify import verify

PAYLOAD_MAX = 1 << 26  # bytes; a program of hundreds of layers takes some hundred thousand


def decode(payload: bytes) -> WaferProgram:
    """The verified program of a file's payload.

    Raises:
        CompileError: too large, with fields that are not read, or one that breaks a rule.
        ValueError: no wafer program (msgspec says where).
    """
    if len(payload) > PAYLOAD_MAX:
        raise CompileError(f"It has {len(payload)} bytes, more than {PAYLOAD_MAX} of a wafer program.")
    program = msgspec.msgpack.decode(payload, type=WaferProgram)
    if program.payload != payload:
        raise CompileError("It has fields that are not read, or that are written otherwise.")
    verify(program)
    return program
