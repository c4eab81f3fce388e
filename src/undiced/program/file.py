"""Program files: read, recognized by their envelope, held against the tables. Files are untrusted.

Knows that a program is for the host or for wafers, and how either is checked on its own; no machine and no checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from undiced.core.digest import sha256
from undiced.core.errors import CheckpointError, CompileError, ProgramFileError
from undiced.core.opening import read_file
from undiced.program.artifact import MAGIC, VERSION
from undiced.program.host.program import HostProgram
from undiced.program.host.verify import verify as verify_host

if TYPE_CHECKING:
    from undiced.program.wafer.program import WaferProgram

_MAX_FILE_BYTES = 1 << 30
_AGAIN = "Compile it again with `undiced compile`."


def load(path: Path) -> HostProgram | WaferProgram:
    """Read a program file.

    Raises:
        ProgramFileError: not a program, of another version, damaged, or with content that breaks a rule; says which.
    """
    try:
        data = read_file(path, _MAX_FILE_BYTES)
    except CheckpointError as error:
        raise ProgramFileError(error.message, remedy=error.remedy) from None
    return decode(data, str(path))


def decode(data: bytes, name: str) -> HostProgram | WaferProgram:
    """The verified program of `Artifact.encoded`; `name` is what errors call it.

    Raises:
        ProgramFileError: not a program, of another version, damaged, or with content that breaks a rule; says which.
    """
    if data[:8] != MAGIC or len(data) < 44:
        raise ProgramFileError(f"{name} is not an Undiced program file.", remedy=_AGAIN)
    version = int.from_bytes(data[8:12], "little")
    if version != VERSION:
        raise ProgramFileError(f"{name} has program version {version}; this build reads {VERSION}.", remedy=_AGAIN)
    if sha256(data[:-32]).digest() != data[-32:]:
        raise ProgramFileError(f"{name} is damaged: its checksum does not match.", remedy=_AGAIN)
    try:
        return _verified(data[12:-32])
    except CompileError as error:
        reason = error.message
    except (ArithmeticError, ValueError, RecursionError) as error:  # a DecodeError of msgspec is a ValueError
        reason = f"{error}."
    raise ProgramFileError(f"{name} does not hold a valid program: {reason}", remedy=_AGAIN)


class _Kind(msgspec.Struct):
    kind: Literal["host", "wafer"]


def _verified(payload: bytes) -> HostProgram | WaferProgram:
    found = msgspec.msgpack.decode(payload, type=_Kind)
    if found.kind == "wafer":
        from undiced.program.wafer.file import decode as decode_wafer  # an engine never needs it

        return decode_wafer(payload)
    host = msgspec.msgpack.decode(payload, type=HostProgram)
    verify_host(host)
    return host
