"""Program: what a compiler made of one graph for one machine. Frozen, versioned, hashed, saved and reloaded.

Knows regions, streams, buffers, weight slots and the KV cache's shape; of graph and machine only their digests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from undiced.core.errors import CheckpointError, ProgramFileError
from undiced.core.manifest import WeightSlot
from undiced.core.opening import read_file
from undiced.program.isa import Instr

VERSION = 2
_MAGIC = b"UNDICED\x00"
_MAX_FILE_BYTES = 1 << 30
_AGAIN = "Compile it again with `undiced compile`."


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a program must be able to hold: sequences at once, and positions per sequence."""

    batch: int
    context: int


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of cores: x, y of the first, and how many columns and rows."""

    x: int
    y: int
    width: int
    height: int

    @property
    def cores(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Region:
    """The same code over a (strided) rectangle of cores of one wafer."""

    rect: Rect
    stride_x: int = 1
    stride_y: int = 1
    code: int = 0
    params: tuple[int, ...] = ()
    wafer: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """A named instruction sequence that regions refer to by index."""

    name: str
    instrs: tuple[Instr, ...]


@dataclass(frozen=True, slots=True)
class Buffer:
    """Activation storage of a stream.

    Attributes:
        width: float32 columns per row.
        rows: "tokens" (one row a token of the step) or "samples" (one a sampled row).
        kind: "f32"; "int8" blocks of 32 columns with a float scale each; or "int8x2", where a second int8 plane holds
            what rounding to the first one lost (about 15 bits).
        own: in a small step (isa.py) every core writes and reads a copy of its own.
    """

    name: str
    width: int
    rows: Literal["tokens", "samples"] = "tokens"
    kind: Literal["f32", "int8", "int8x2"] = "f32"
    own: bool = False


@dataclass(frozen=True, slots=True)
class KvLayer:
    """The KV cache of one attention layer: heads, columns of a key and of a value, window (0 = whole context)."""

    kv_heads: int
    head_dim: int
    window: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled model.

    Attributes:
        kind: "host" programs are executed by the engine; "wafer" programs by the interpreter and the simulators.
        machine: the machine's name; machine_digest and graph_digest say exactly which.
        constants: float vectors that instructions name by index (inverse RoPE frequencies).
        facts: numbers that reports need and executors do not (name, value).
    """

    kind: Literal["host", "wafer"]
    model: str
    machine: str
    graph_digest: str
    machine_digest: str
    bounds: Bounds
    regions: tuple[Region, ...]
    streams: tuple[Stream, ...]
    buffers: tuple[Buffer, ...]
    slots: tuple[WeightSlot, ...]
    kv: tuple[KvLayer, ...]
    vocab: int
    constants: tuple[tuple[float, ...], ...] = ()
    facts: tuple[tuple[str, float], ...] = ()
    version: int = VERSION

    @property
    def digest(self) -> str:
        """sha256 of the serialized program: equal digests mean equal programs."""
        return hashlib.sha256(_payload(self)).hexdigest()

    def fact(self, name: str) -> float:
        """The value of one of `facts`; KeyError if the compiler did not record it."""
        return dict(self.facts)[name]

    def encoded(self) -> bytes:
        """The program as a file holds it; it ends with the sha256 of all that comes before."""
        data = _MAGIC + VERSION.to_bytes(4, "little") + _payload(self)
        return data + hashlib.sha256(data).digest()

    def save(self, path: Path) -> None:
        """Write the program to a file."""
        path.write_bytes(self.encoded())


def _payload(program: Program) -> bytes:
    import msgspec

    return msgspec.msgpack.encode(program)


def load(path: Path) -> Program:
    """Read a program file.

    Raises:
        ProgramFileError: not a program, of another version, or damaged; says which.
    """
    try:
        data = read_file(path, _MAX_FILE_BYTES)
    except CheckpointError as error:
        raise ProgramFileError(error.message, remedy=error.remedy) from None
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Program:
    """The program of `Program.encoded`; `name` is what errors call it.

    Raises:
        ProgramFileError: not a program, of another version, or damaged; says which.
    """
    import msgspec

    if data[:8] != _MAGIC or len(data) < 44:
        raise ProgramFileError(f"{name} is not an Undiced program file.", remedy=_AGAIN)
    version = int.from_bytes(data[8:12], "little")
    if version != VERSION:
        raise ProgramFileError(f"{name} has program version {version}; this build reads {VERSION}.", remedy=_AGAIN)
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise ProgramFileError(f"{name} is damaged: its checksum does not match.", remedy=_AGAIN)
    try:
        return msgspec.msgpack.decode(data[12:-32], type=Program)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise ProgramFileError(f"{name} does not hold a valid program: {error}", remedy=_AGAIN) from None
