"""From a kernel's statements to micro-operations of one machine: descriptors, queues, cycles. Knows no mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undiced.core.errors import KernelError
from undiced.program.wafer.value import DType
from undiced.sim.fabric import microops as ops
from undiced.sim.fabric.kernel.array import BYTES, Array
from undiced.sim.fabric.kernel.costs import WAVELET_BYTES, Costs, on_fabric
from undiced.sim.fabric.kernel.operation import (
    Begin,
    Color,
    Enter,
    Flip,
    Idle,
    Join,
    Operation,
    Rewrite,
    Sending,
    Source,
    Statement,
    Steer,
)
from undiced.sim.fabric.kernel.queues import Queues


@dataclass(frozen=True, slots=True)
class Lowering:
    """What statements become micro-operations with."""

    costs: Costs
    inputs: Queues
    outputs: Queues

    def block(self, statements: tuple[Statement, ...]) -> tuple[ops.MicroOp, ...]:
        """A program."""
        return tuple(each for statement in statements for each in self._micro(statement))

    def _micro(self, statement: Statement) -> Iterator[ops.MicroOp]:
        match statement:
            case Operation():
                if all(loop.size for loop in statement.loops) and all(statement.shape):
                    yield self._vector(statement)
            case Begin(thread, operations):
                yield ops.Fork(thread, self.block(operations))
            case Join(threads):
                yield ops.Wait(threads, self.costs.task())
            case Steer(color, control):
                yield ops.Send(self.outputs.of[color], color.number, control)
            case Flip(color, position):
                yield ops.Turn(color.number, position, self.costs.write())
            case Rewrite(color, switch):
                yield ops.Repaint(color.number, switch, self.costs.write())
            case Idle(cycles):
                yield ops.Delay(cycles)
            case Enter():
                yield ops.Delay(self.costs.entering())

    def _vector(self, operation: Operation) -> ops.Vector:
        fabric = operation.sends is not None or bool(operation.hears)
        rows, strides = _merged(operation, fabric)
        extents = (*(loop.size for loop in operation.loops), *rows)
        if len(extents) > ops.EXTENTS_MAX:
            raise KernelError(
                f"{operation} has {len(operation.loops)} loops and {len(rows)} dimensions.",
                remedy=f"Descriptors and loops have {ops.EXTENTS_MAX} together; take a part of fewer dimensions.",
            )
        self._descriptors(operation, rows, strides)
        dtype = on_fabric(operation) if fabric else DType.F32

        def memory(array: Array) -> ops.Memory:
            moved = dict(array.loops)
            outer = tuple(moved.get(loop, 0) for loop in operation.loops)
            address = array.address + array.offset * BYTES[array.dtype]
            return ops.Memory(address, (*outer, *strides[array]), array.dtype)

        def source(operand: Source) -> ops.Source:
            if isinstance(operand, Array):
                return memory(operand)
            if isinstance(operand, Color):
                return ops.In(self.inputs.of[operand], operand.number, dtype)
            return ops.Immediate(float(operand))

        a, b, c, *_ = (*(source(each) for each in operation.sources), None, None, None)
        assert a is not None
        target = operation.target
        return ops.Vector(
            operation.function,
            memory(target) if isinstance(target, Array) else self._sending(target, dtype),
            a,
            b,
            c,
            extents=extents,
            loops=len(operation.loops),
            setup=self.costs.set_up(operation),
            cycles=0.0 if fabric else self.costs.elements(operation),
            per_wavelet=self.costs.wavelet(operation) if fabric else 1,
        )

    def _descriptors(
        self, operation: Operation, extents: tuple[int, ...], strides: dict[Array, tuple[int, ...]]
    ) -> None:
        """See that descriptors hold the extents and strides of an operation; loops have no such bounds."""
        core = self.costs.wafer.core
        longest, farthest = max(extents), max((abs(stride) for each in strides.values() for stride in each), default=0)
        if longest > core.extent_max.value or farthest > core.stride_max.value:
            raise KernelError(
                f"{operation} goes over {longest:,} elements with a stride of {farthest:,}; descriptors hold "
                f"{core.extent_max.value:,.0f} and {core.stride_max.value:,.0f}.",
                remedy="Loop over parts of the array.",
            )

    def _sending(self, target: Color | Sending, dtype: DType) -> ops.Out:
        sending = Sending(target) if isinstance(target, Color) else target
        color = sending.color
        return ops.Out(self.outputs.of[color], color.number, dtype, sending.advance, sending.control)


def _merged(operation: Operation, fabric: bool) -> tuple[tuple[int, ...], dict[Array, tuple[int, ...]]]:
    """The extents of an operation's arrays and their strides, with rows that follow each other taken together.

    Rows of wavelets begin with a wavelet of their own: those that end within one stay apart.
    """
    arrays = {each for each in operation.operands if isinstance(each, Array)}
    extents = list(operation.shape) or [1]
    strides = {each: list(each.strides) or [0] * len(extents) for each in arrays}
    whole = WAVELET_BYTES // min((BYTES[each.dtype] for each in arrays), default=WAVELET_BYTES) if fabric else 1
    for at in range(len(extents) - 1, 0, -1):
        follow = all(each[at - 1] == each[at] * extents[at] for each in strides.values())
        if follow and extents[at] % whole == 0:
            extents[at - 1 : at + 1] = [extents[at - 1] * extents[at]]
            for each in strides.values():
                del each[at - 1]
    return tuple(extents), {each: tuple(found) for each, found in strides.items()}
