"""Cycles of a kernel's operations on a machine: set-ups, elements, wavelets. No figure has its value here."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from undiced.core.errors import KernelError
from undiced.machine.arithmetic import elements_cycles
from undiced.machine.fabric import rebinding
from undiced.machine.wafer import Wafer
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import Arithmetic, Vectors
from undiced.sim.fabric.kernel.array import BYTES, Array
from undiced.sim.fabric.kernel.operation import Operation

_ARITHMETIC: dict[str, Arithmetic] = {
    "move": "move",
    "add": "add",
    "subtract": "add",
    "multiply": "multiply",
    "multiply_add": "multiply_add",
    "maximum": "maximum",
    "minimum": "maximum",
}
WAVELET_BYTES = 4


@dataclass(frozen=True, slots=True)
class Costs:
    """What software and elements take on a machine.

    Attributes:
        setup: of every operation that does not say its own, instead of the machine's; loops and tasks are then free.
    """

    wafer: Wafer
    setup: float | None = None

    def set_up(self, operation: Operation) -> float:
        """Cycles before the first element of an operation, or of each of its iterations."""
        core = self.wafer.core
        if operation.setup is not None:
            return operation.setup
        if operation.software == "data task":
            return core.data_task_cycles.value - 1  # the wavelet itself takes one
        if operation.software == "emit":
            return core.emit_cycles.value - 1
        if self.setup is not None:
            return self.setup
        if operation.loops:
            return core.vector_setup_cycles.value + self.entering() / max(1, operation.loops[-1].size)
        return (core.vector_setup_cycles if operation.looped else core.straight_setup_cycles).value

    def entering(self) -> float:
        """A loop that begins, the innermost of those around an operation."""
        return self.wafer.core.loop_iteration_cycles.value if self.setup is None else 0.0

    def task(self) -> float:
        """The task that goes on when microthreads have ended."""
        return self.wafer.core.local_task_cycles.value if self.setup is None else 0.0

    def write(self) -> float:
        """A register of the own router."""
        return self.wafer.link.route_write_cycles.value if self.setup is None else 0.0

    def bind(self) -> float:
        """An output queue that is given another color."""
        return rebinding(self.wafer).cycles if self.setup is None else 0.0

    def elements(self, operation: Operation) -> float:
        """Cycles of all elements of an iteration where no operand is on the fabric."""
        return self._cycles(operation, max(1, prod(operation.shape)))

    def wavelet(self, operation: Operation) -> int:
        """Cycles of each wavelet's elements."""
        count = min(WAVELET_BYTES // BYTES[on_fabric(operation)], max(1, prod(operation.shape)))
        return max(1, ceil(self._cycles(operation, count)))

    def _cycles(self, operation: Operation, count: int) -> float:
        if operation.function not in _ARITHMETIC:
            return count * self.wafer.core.transcendental_cycles.value
        vectors, read, written = _vectors(operation, count)
        return elements_cycles(self.wafer.core, vectors, count, read, written)


def on_fabric(operation: Operation) -> DType:
    """The element type of an operation's wavelets: that of its arrays, which all have one then.

    Raises:
        KernelError: its arrays have several.
    """
    found = {each.dtype for each in operation.operands if isinstance(each, Array)} or {DType.F32}
    if len(found) > 1:
        names = ", ".join(sorted(dtype.value for dtype in found))
        raise KernelError(
            f"{operation} has arrays of {names} beside wavelets.",
            remedy="Move to an array of another type before or after it.",
        )
    return next(iter(found))


def _vectors(operation: Operation, count: int) -> tuple[Vectors, float, float]:
    """The operation in the machine's terms, and the bytes that an element reads and writes."""
    arrays = [each for each in operation.sources if isinstance(each, Array)]
    target = operation.target if isinstance(operation.target, Array) else None
    reduces = target is not None and not target.shape and bool(operation.shape)
    vectors = [each for each in arrays if each.shape and not (reduces and each == target)]
    widest = max((each.dtype for each in arrays), key=lambda dtype: BYTES[dtype], default=DType.F32)
    result = target.dtype if target else widest
    arithmetic = "reduce" if reduces else _ARITHMETIC[operation.function]
    if arithmetic == "move" and widest != result:
        arithmetic = "convert"
    stride = max((abs(each.strides[-1]) for each in [*vectors, *([target] if target else [])] if each.shape), default=1)
    return (
        Vectors(arithmetic, widest, result, count, stride=stride),
        sum(BYTES[each.dtype] for each in vectors),
        BYTES[target.dtype] if target and not reduces else 0,
    )
