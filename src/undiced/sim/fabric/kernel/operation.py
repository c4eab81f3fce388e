"""What a core's program says, before a machine gives it queues and cycles. Data alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undiced.core.errors import KernelError
from undiced.sim.fabric.kernel.array import Array, Loop
from undiced.sim.fabric.microops import Function
from undiced.sim.fabric.routes import Control, Switch

Software = Literal["operation", "data task", "emit"]


@dataclass(frozen=True, slots=True)
class Color:
    """A virtual channel of the routers. As a source: what arrives on it; as a target: what is sent."""

    name: str
    number: int

    def __str__(self) -> str:
        return self.name

    def then(self, *, advance: bool = False, control: Control | None = None) -> Sending:
        """To send on this color, and after the last wavelet to move on the own router's switch (`advance`), or to send
        a control wavelet behind it."""
        return Sending(self, advance, control)


@dataclass(frozen=True, slots=True)
class Sending:
    """A target: a color, and what follows the last wavelet."""

    color: Color
    advance: bool = False
    control: Control | None = None

    def __str__(self) -> str:
        return self.color.name


Source = Array | Color | float
Target = Array | Color | Sending


@dataclass(frozen=True, slots=True)
class Operation:
    """target = function(sources), element by element, over `shape`, in each iteration of `loops`, the outermost first.

    Attributes:
        setup: cycles before an iteration's first element; None: the machine's.
        software: what an iteration is: a vector operation, a task for a wavelet, or a pass of a loop that sends one.
        looped: whether it stood in a loop that was written out.
    """

    function: Function
    target: Target
    sources: tuple[Source, ...]
    shape: tuple[int, ...]
    loops: tuple[Loop, ...] = ()
    setup: float | None = None
    software: Software = "operation"
    looped: bool = False

    def __str__(self) -> str:
        return f"{self.target} = {self.function}({', '.join(map(str, self.sources))})"

    @property
    def operands(self) -> tuple[Target | Source, ...]:
        """All of them, the target first."""
        return (self.target, *self.sources)

    @property
    def hears(self) -> tuple[Color, ...]:
        """Colors from which it takes wavelets."""
        return tuple(source for source in self.sources if isinstance(source, Color))

    @property
    def sends(self) -> Color | None:
        """The color on which it sends."""
        if isinstance(self.target, Sending):
            return self.target.color
        return self.target if isinstance(self.target, Color) else None


@dataclass(frozen=True, slots=True)
class Begin:
    """A microthread starts with operations that follow each other."""

    thread: int
    operations: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """The main thread goes on once these microthreads have ended."""

    threads: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Steer:
    """A control wavelet by itself."""

    color: Color
    control: Control


@dataclass(frozen=True, slots=True)
class Flip:
    """The core writes its own router's switch."""

    color: Color
    position: int


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The core gives its own router another switch of a color; None: no way at all."""

    color: Color
    switch: Switch | None


@dataclass(frozen=True, slots=True)
class Idle:
    """Software that touches nothing that others see."""

    cycles: float


@dataclass(frozen=True, slots=True)
class Enter:
    """A loop begins: its descriptors are loaded."""


Statement = Operation | Begin | Join | Steer | Flip | Rewrite | Idle | Enter


def shape_of(function: str, target: Target, sources: tuple[Source, ...], count: int | None) -> tuple[int, ...]:
    """What an operation goes over: the shape of its arrays; of `count` elements where it has none.

    Raises:
        KernelError: arrays of different shapes, or nothing that says how many.
    """
    arrays = [each for each in (target, *sources) if isinstance(each, Array)]
    shapes = {each.shape for each in arrays if each.size != 1 or each.shape}
    if count is not None:
        shapes = shapes or {(count,)}
    if len(shapes) > 1:
        told = ", ".join(f"{each} {each.shape}" for each in arrays)
        raise KernelError(
            f"The operands of {function} have different shapes: {told}.", remedy="Take parts of equal shapes."
        )
    if not shapes and not arrays:
        raise KernelError(
            f"Nothing says how many elements {function} is of.", remedy="Give count, or an array as an operand."
        )
    return next(iter(shapes), ())
