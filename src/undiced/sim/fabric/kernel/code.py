"""`pe`: what the cores of one role do. Each call adds an operation to their program, in order.

The target of an operation comes first. A color as a source is what arrives on it, as a target what is sent on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np

from undiced.core.errors import KernelError
from undiced.sim.fabric.kernel.array import Array, At, Loop
from undiced.sim.fabric.kernel.layout import switch
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
    Software,
    Source,
    Statement,
    Steer,
    Target,
    shape_of,
)
from undiced.sim.fabric.microops import EXTENTS_MAX, Function
from undiced.sim.fabric.routes import Control, Way

THREADS = 8
_DELAY_MAX = 1_000_000_000  # ours
_WRITTEN_OUT_MAX = 1 << 16  # statements that loops are written out to


class Code:
    """The program of a role, as it is written down."""

    def __init__(self, loops: Iterator[int]) -> None:
        """loops: numbers for loops, each once in a kernel."""
        self.statements: list[Statement] = []
        self._numbers = loops
        self._open: list[Loop] = []
        self._thread: int | None = None
        self._begun: list[int] = []

    def move(self, target: Target, a: Source, *, count: int | None = None, setup: float | None = None) -> None:
        """target = a"""
        self._add("move", target, (a,), count, setup)

    def add(
        self, target: Target, a: Source, b: Source, *, count: int | None = None, setup: float | None = None
    ) -> None:
        """target = a + b; where the target is one element, the sum of all."""
        self._add("add", target, (a, b), count, setup)

    def subtract(
        self, target: Target, a: Source, b: Source, *, count: int | None = None, setup: float | None = None
    ) -> None:
        """target = a - b"""
        self._add("subtract", target, (a, b), count, setup)

    def multiply(
        self, target: Target, a: Source, b: Source, *, count: int | None = None, setup: float | None = None
    ) -> None:
        """target = a * b"""
        self._add("multiply", target, (a, b), count, setup)

    def maximum(
        self, target: Target, a: Source, b: Source, *, count: int | None = None, setup: float | None = None
    ) -> None:
        """target = the larger of a and b; where the target is one element, the largest of all."""
        self._add("maximum", target, (a, b), count, setup)

    def minimum(
        self, target: Target, a: Source, b: Source, *, count: int | None = None, setup: float | None = None
    ) -> None:
        """target = the smaller of a and b; where the target is one element, the smallest of all."""
        self._add("minimum", target, (a, b), count, setup)

    def multiply_add(
        self,
        target: Target,
        c: Source,
        a: Source,
        factor: Array | float,
        *,
        count: int | None = None,
        setup: float | None = None,
    ) -> None:
        """target = c + a * factor. The factor is a number or one element: hardware has no product and sum of vectors.

        Raises:
            KernelError: the factor is a vector.
        """
        if isinstance(factor, Array) and factor.shape:
            raise KernelError(
                f"The factor {factor} of a multiply_add has the shape {factor.shape}; hardware takes one element.",
                remedy="Take an element, as factor[0], or multiply and add in two operations.",
            )
        self._add("multiply_add", target, (a, factor, c), count, setup)

    def apply(
        self,
        function: Literal["exp", "reciprocal", "inverse_root", "sigmoid", "tanh"],
        target: Target,
        a: Source,
        *,
        count: int | None = None,
        setup: float | None = None,
    ) -> None:
        """target = function(a), by calls of the scalar library."""
        self._add(function, target, (a,), count, setup)

    def take_each(self, target: Array, color: Color) -> None:
        """A data task for every wavelet that arrives on a color, which puts it into the next place of the target."""
        self._single("data task", target, color)

    def emit_each(self, color: Color | Sending, a: Array) -> None:
        """A scalar loop that sends element after element."""
        self._single("emit", color, a)

    def send(self, color: Color, control: Control) -> None:
        """A control wavelet by itself."""
        self._say(Steer(color, control))

    def turn(self, color: Color, position: int) -> None:
        """Write the switch of a color of the own router."""
        self._say(Flip(color, position))

    def repaint(self, color: Color, *ways: Way, ring: bool = False) -> None:
        """Write a color's whole switch of the own router, as `Kernel.paint` gives it one; without a way nothing passes.

        What the switch before lets pass, in any position, must have gone. What waits at other ports goes on waiting.

        Raises:
            KernelError: more ways than a switch has, or a way without an end.
        """
        self._say(Rewrite(color, switch(color, ways, ring, "by a repaint") if ways else None))

    def delay(self, cycles: float) -> None:
        """Software that touches nothing that others see."""
        if not 0 <= cycles < _DELAY_MAX:
            raise KernelError(f"A delay of {cycles} cycles.", remedy=f"Give 0 to {_DELAY_MAX:,}.")
        self._say(Idle(cycles))

    @contextmanager
    def loop(self, size: int) -> Iterator[At]:
        """A loop around what stands in it; gives its variable, which subscripts take.

        Around one operation it is hardware's: each iteration pays the set-up of a loop. More are written out.
        """
        if size < 0 or len(self._open) + 1 >= EXTENTS_MAX:
            raise KernelError(
                f"A loop of {size} iterations, {len(self._open)} loops deep.",
                remedy=f"Loops have no fewer than 0 iterations, and are at most {EXTENTS_MAX - 1} deep.",
            )
        loop, before = Loop(next(self._numbers), size), self.statements
        self.statements = []
        self._open.append(loop)
        try:
            yield At(loop)
        finally:
            self._open.pop()
            body, self.statements = self.statements, before
        self.statements += _looped(loop, body) if size else []

    @contextmanager
    def thread(self, number: int | None = None) -> Iterator[int]:
        """What stands in it runs beside the main thread, in a microthread; gives its number, the next one by default.

        A microthread that is still busy goes on with this after what it has.
        """
        chosen = len(self._begun) % THREADS if number is None else number
        if self._thread is not None or not 0 <= chosen < THREADS:
            raise KernelError(
                f"A microthread with the number {chosen}" + (" inside another." if self._thread is not None else "."),
                remedy=f"Numbers are 0 to {THREADS - 1}, and only the main thread starts them.",
            )
        before, self.statements, self._thread = self.statements, [], chosen
        try:
            yield chosen
        finally:
            body, self.statements, self._thread = self.statements, before, None
        self._begun.append(chosen)
        self._say(Begin(chosen, tuple(body)))

    def wait(self, *threads: int) -> None:
        """The main thread waits until these microthreads have ended; without any, all that it has started."""
        self._say(Join(threads or tuple(sorted(set(self._begun)))))
        if not threads:
            self._begun.clear()

    def _add(
        self, function: Function, target: Target, sources: tuple[Source, ...], count: int | None, setup: float | None
    ) -> None:
        for operand in (target, *sources):
            self._usable(function, operand)
        shape = shape_of(function, target, sources, count)
        heard = [source for source in sources if isinstance(source, Color)]
        if len(set(heard)) < len(heard) or (setup or 0) < 0 or (count or 0) < 0:
            raise KernelError(
                f"{target} = {function}({', '.join(map(str, sources))}), setup={setup}, count={count}.",
                remedy="An operation takes each color once, and numbers that are not negative.",
            )
        if isinstance(target, Array) and target.shape != shape and target not in sources:
            raise KernelError(
                f"The target {target} of {function} is one element, and its sources are {shape}.",
                remedy="Give the target as a source, too, to reduce to it; or take a target of that shape.",
            )
        self._say(Operation(function, target, sources, shape, tuple(self._open), setup))

    def _usable(self, function: str, operand: object) -> None:
        """An array where its loops are open, a color, or a number."""
        if not isinstance(operand, Array | Color | Sending | int | float | np.number):
            raise KernelError(
                f"{function} takes no {type(operand).__name__}.",
                remedy="Give an array of the kernel, a color or a number; numpy's values are filled in by scatter.",
            )
        if isinstance(operand, Array) and not {loop for loop, _ in operand.loops} <= set(self._open):
            raise KernelError(
                f"A part of {operand} goes with a loop, and {function} stands outside of it.",
                remedy="Use a loop's variable inside the loop.",
            )

    def _single(self, software: Software, target: Target, source: Source) -> None:
        array = target if isinstance(target, Array) else source
        if not isinstance(array, Array):
            raise KernelError(
                f"Neither {target} nor {source} is an array.",
                remedy="Name one, which says how many wavelets there are.",
            )
        shape = array.shape
        loops = tuple(Loop(next(self._numbers), size) for size in shape)
        if len(self._open) + len(loops) >= EXTENTS_MAX:
            raise KernelError(
                f"{array} has {len(shape)} dimensions, {len(self._open)} loops deep.",
                remedy="Take a part of fewer dimensions.",
            )
        element = array[tuple(At(loop) for loop in loops)]
        target, source = (element, source) if array is target else (target, element)
        self._say(Operation("move", target, (source,), (), (*self._open, *loops), None, software))

    def _say(self, statement: Statement) -> None:
        self.statements.append(statement)


def _looped(loop: Loop, body: list[Statement]) -> list[Statement]:
    """One operation keeps its loop; several, and other statements, are written out."""
    operations = [each for each in body if isinstance(each, Operation)]
    if len(body) == 1 and operations and not operations[0].looped:
        return body
    if len(body) * loop.size > _WRITTEN_OUT_MAX:
        raise KernelError(
            f"A loop of {loop.size} iterations around {len(body)} statements would be written out.",
            remedy="Loop around one operation, or over fewer.",
        )
    return [Enter(), *(_at(each, loop, value) for value in range(loop.size) for each in body)]


def _at(statement: Statement, loop: Loop, value: int) -> Statement:
    """A statement of a loop's body in one of its iterations."""
    if isinstance(statement, Begin):
        return replace(statement, operations=tuple(_at(each, loop, value) for each in statement.operations))
    if not isinstance(statement, Operation):
        return statement

    def fixed(operand: Source) -> Source:
        return operand.fixed(loop, value) if isinstance(operand, Array) else operand

    target = statement.target
    return replace(
        statement,
        target=target.fixed(loop, value) if isinstance(target, Array) else target,
        sources=tuple(fixed(each) for each in statement.sources),
        loops=tuple(each for each in statement.loops if each != loop),
        looped=True,
    )
