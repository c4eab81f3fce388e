"""What a core does at level 2: vector operations over memory and fabric, microthreads, switches, queues. Data alone.

A core has a main thread and eight microthreads, and one datapath that they share cycle by cycle. An operation first
takes its set-up, then its elements. What reads or writes the fabric goes wavelet by wavelet, each as soon as it is
there and has room; what touches memory alone takes a time that is known when it starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undiced.program.wafer.value import DType
from undiced.sim.fabric.routes import Control, Switch

Function = Literal[
    "move",  # a
    "add",  # a + b
    "subtract",  # a - b
    "subtract_from",  # b - a
    "multiply",  # a * b
    "maximum",
    "minimum",
    "multiply_add",  # c + a * b, the product rounded first
    "high_subtract_from",  # the integer steps of `program.wafer.sequences`, on 16-bit halves of 32-bit floats
    "high_and",
    "high_shift",
    "low_to_high_shift",
    "high_add",
    "exp",  # the library's functions of a
    "reciprocal",
    "inverse_root",
    "sigmoid",
    "tanh",
    "equal",  # 1 where a is b, else 0
    "above",  # 1 where a > b, else 0
    "choose",  # a where c is not 0, else b
]
EXTENTS_MAX = 4


@dataclass(frozen=True, slots=True)
class Memory:
    """Elements of a core's memory: of `dtype` from `address` (bytes) on, `strides` elements apart along each extent.

    Integers are read alone: `I8` bytes with a sign; of `I4` two in a byte, the lower half first, as 0 to 15.

    Attributes:
        index: the byte of a 32-bit float n: elements lie n times `pitch` bytes further on; -1: where they say. In
            operations on memory alone.
    """

    address: int
    strides: tuple[int, ...]
    dtype: DType = DType.F32
    index: int = -1
    pitch: int = 0


@dataclass(frozen=True, slots=True)
class Immediate:
    """The same number for every element."""

    value: float


@dataclass(frozen=True, slots=True)
class In:
    """Wavelets from an input queue, which hears `color` from the operation's start on. 16-bit elements come in pairs;
    each row (the innermost extent) begins with a wavelet of its own."""

    queue: int
    color: int
    dtype: DType = DType.F32


@dataclass(frozen=True, slots=True)
class Out:
    """Wavelets to an output queue, of `color`.

    Attributes:
        advance: the core's own switch of that color moves on when the last wavelet has passed it.
        control: follows the last wavelet.
    """

    queue: int
    color: int
    dtype: DType = DType.F32
    advance: bool = False
    control: Control | None = None


Source = Memory | Immediate | In
Target = Memory | Out


@dataclass(frozen=True, slots=True)
class Vector:
    """target = function(a, b, c) element by element, over `extents`, the innermost last.

    Attributes:
        loops: of the outermost extents, how many are loops of the program: each of their iterations pays `setup`, and
            so does the operation as a whole if there are none. The other extents are the descriptors' own.
        setup: cycles before an iteration's first element.
        cycles: of one iteration's elements where no operand is on the fabric.
        per_wavelet: cycles of each wavelet, where one is.
        rounded: what results are rounded to before the target's own type, if that is narrower than it.
    """

    function: Function
    target: Target
    a: Source
    b: Source | None = None
    c: Source | None = None
    extents: tuple[int, ...] = (1,)
    loops: int = 0
    setup: float = 0.0
    cycles: float = 0.0
    per_wavelet: int = 1
    rounded: DType | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """A microthread starts with `script`, once it has ended what it had; its operations follow each other."""

    thread: int
    script: tuple[MicroOp, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """The thread goes on once these microthreads have ended; `cycles`: of the task that goes on."""

    threads: tuple[int, ...]
    cycles: float = 0.0


@dataclass(frozen=True, slots=True)
class Send:
    """A control wavelet by itself."""

    queue: int
    color: int
    control: Control


@dataclass(frozen=True, slots=True)
class Turn:
    """The core writes the switch of a color of its own router: the number of its position."""

    color: int
    position: int
    cycles: float = 0.0


@dataclass(frozen=True, slots=True)
class Bind:
    """An output queue is given another color, once it is empty. Queues start unbound and take the first color used."""

    queue: int
    color: int
    cycles: float = 0.0


@dataclass(frozen=True, slots=True)
class Repaint:
    """The core writes the route of a color of its own router: all positions of a switch (None: no way at all), which
    then stands at the first.

    Nothing may be on its way by the old route: a wavelet of the color in an output queue, or in the router from a port
    that any position of the old switch accepts, is an error. What other ports hold waits for the new route.
    """

    color: int
    switch: Switch | None
    cycles: float = 0.0


@dataclass(frozen=True, slots=True)
class Delay:
    """Software that touches nothing that others see."""

    cycles: float


MicroOp = Vector | Fork | Wait | Send | Turn | Bind | Delay | Repaint
