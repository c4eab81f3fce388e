"""What an instruction makes the fullest core do: derived from its operands and their layouts, for a step.

Local instructions are vector operations and scalar steps; a core repeats them for each sequence of the step, and reads
weights again each time. Tokens of one sequence lie innermost: operations run along them. Movers carry bytes over lines.
Times of all that are facts of a machine, not of a program.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from undiced.program.wafer.instruction import Line
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import DType

Arithmetic = Literal[
    "multiply_add",  # result += vector * scalar
    "multiply",
    "add",  # and subtract
    "maximum",  # and minimum
    "move",
    "convert",  # between 16-bit and 32-bit floats
    "unpack",  # from integers to floats
    "integer",  # sums of 16-bit halves
    "shift",  # of 16-bit halves
    "reduce",  # into one scalar
]
BYTES: dict[DType, float] = {  # an element in a core's memory, without the scales of block formats
    DType.F32: 4,
    DType.F16: 2,
    DType.BF16: 2,
    DType.I8: 1,
    DType.F8: 1,
    DType.I4: 0.5,
    DType.I32: 4,
}


def wide(dtype: DType) -> bool:
    """Whether elements have 32 bits."""
    return BYTES[dtype] == BYTES[DType.F32]


def widest(*dtypes: DType) -> DType:
    """The first type of 32 bits, else the first."""
    return next((dtype for dtype in dtypes if wide(dtype)), dtypes[0])


class Vectors(Struct, frozen=True, gc=False):
    """Equal vector operations.

    Attributes:
        operand, result: the widest element types that go in and come out.
        length: elements of an operation; count: operations; loops: how many loops they are iterations of.
        read, written: bytes of memory an element.
        stride: elements from one to the next of the operand that is worst placed.
        sums: how many in a row add to the same `length` elements, which may stay beside the datapath meanwhile (unless
            `unpinned`); the first of them is written, not added, unless `added`. `read` and `written` don't count these
            elements.
        apart: whether each operation loads its descriptors, though there are several.
        beside: bytes of a buffer that the operations write, and of the sums that wait meanwhile; where the store beside
            the datapath holds them, nothing is written to memory, and `fed` bytes an element are read from it.
    """

    arithmetic: Arithmetic
    operand: DType
    result: DType
    length: int
    count: int = 1
    loops: int = 1
    read: float = 0
    written: float = 0
    stride: int = 1
    sums: int = 0
    added: bool = False
    unpinned: bool = False
    apart: bool = False
    beside: float = 0
    fed: float = 0


class Ring(Struct, frozen=True, gc=False):
    """Tiles that pass around lines step by step, under what a core does for it.

    Attributes:
        steps: how many; tiles: bytes of each that passes in a step. hops: of a step.
        aligned: steps before, in which the first tile alone passes.
        last: bytes that a chain over `line` joins behind the last step.
    """

    steps: int
    tiles: tuple[int, ...]
    hops: int
    aligned: int = 0
    line: Line | None = None
    last: int = 0


class Haul(Struct, frozen=True, gc=False):
    """What a mover carries over every line at once.

    Attributes:
        pieces: bytes of each slice, in the order in which they travel.
        tree: what joins a reduction's terms.
        senders: places on the line of those that send a piece each; None: whoever owns a token, anywhere on the line.
        merging, joining: scalar steps and vector operations of a core for each payload that it receives, where terms
            are lists or pairs.
        hops: of a hand-over between regions, from the nearest core that holds it to the farthest that wants it;
        off_wafer_bytes: what it takes from one wafer to another, of all lines together; host_bytes: from the host.
    """

    pieces: tuple[int, ...]
    line: Line | None = None
    tree: Tree | None = None
    senders: tuple[int, ...] | None = None
    merging: int = 0
    joining: tuple[Vectors, ...] = ()
    hops: int = 0
    off_wafer_bytes: int = 0
    host_bytes: int = 0


class Work(Struct, frozen=True, gc=False):
    """All that one instruction makes a core do, in order.

    Attributes:
        scalars: compare-and-branch steps of scalar code. calls: of the library's scalar functions.
        draws: tokens drawn from lists.
        rebinds: output queues that are given another color. writes: registers that give colors other routes.
        tasks: scheduled local tasks. ring: what passes around lines while the vector operations run.
        haul: set for movers; their vector operations (conversions) come before it.
    """

    vectors: tuple[Vectors, ...] = ()
    scalars: int = 0
    calls: int = 0
    draws: int = 0
    rebinds: int = 0
    writes: int = 0
    tasks: int = 0
    ring: Ring | None = None
    haul: Haul | None = None
