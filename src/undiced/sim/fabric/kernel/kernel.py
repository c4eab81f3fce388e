"""A kernel: a mesh, arrays, colors and their ways, what cores do, and what their memory holds at the start.

It is made once for any machine; `run` gives it one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiced.core.errors import KernelError, ProgramFileError
from undiced.machine.wafer import Wafer
from undiced.program.wafer.value import DType
from undiced.sim.fabric.kernel.array import BYTES, NUMPY, Array, f32, whole
from undiced.sim.fabric.kernel.code import Code
from undiced.sim.fabric.kernel.cores import Area, Cores, Index, chosen
from undiced.sim.fabric.kernel.layout import Painted, painted
from undiced.sim.fabric.kernel.memory import ALIGN_BYTES, start
from undiced.sim.fabric.kernel.operation import Color, Statement
from undiced.sim.fabric.kernel.result import Result
from undiced.sim.fabric.routes import Way

_SIDE_MAX = 4096
_ALONE_MAX = 1 << 14  # cores that one thread simulates sooner than several, which meet every cycle
_RATE_MIN, _CYCLES_MAX, _THREADS_MAX, _LIMIT_MAX = 1 / 64, 1 << 30, 256, (1 << 32) - 2
_RULES = "docs/fabric.md lists the rules of kernels."


@dataclass(frozen=True, slots=True)
class Block:
    """What some cores do in a step of this name."""

    step: str
    cores: Cores
    statements: tuple[Statement, ...]


class Kernel:
    """A program for a rectangle of cores, `width` columns by `height` rows. `kernel[x, y]` names cores of it."""

    def __init__(self, width: int, height: int = 1, name: str = "kernel") -> None:
        if not (1 <= width <= _SIDE_MAX and 1 <= height <= _SIDE_MAX):
            raise KernelError(
                f"A mesh of {width} x {height} cores.", remedy=f"It has 1 to {_SIDE_MAX} columns and rows."
            )
        self.width, self.height, self.name = width, height, name
        self.arrays: dict[str, Array] = {}
        self.colors: list[Color] = []
        self.paints: list[Painted] = []
        self.blocks: list[Block] = []
        self.given: list[tuple[Array, Cores, NDArray[np.generic]]] = []
        self._painted: dict[Color, Area] = {}
        self._bytes = 0
        self._loops = count()

    def __getitem__(self, index: Index | tuple[Index, Index]) -> Cores:
        return chosen(index, self.width, self.height)

    @property
    def memory_bytes(self) -> int:
        """What the arrays of a core take."""
        return self._bytes

    def array(self, name: str, shape: int | tuple[int, ...], dtype: DType = f32) -> Array:
        """An array that every core has, zero at the start.

        Raises:
            KernelError: the name is taken, or no such shape or type is possible.
        """
        shape = shape if isinstance(shape, tuple) else (shape,)
        if name in self.arrays:
            raise KernelError(f"There is an array {name} already.", remedy="Give it another name.")
        if dtype not in BYTES or not all(size > 0 for size in shape):
            raise KernelError(
                f"Array {name} of shape {shape} and type {dtype}.", remedy="Sizes are at least 1, types f32 or f16."
            )
        made = whole(name, shape, dtype, self._bytes)
        self._bytes += -(-prod(shape) * BYTES[dtype] // ALIGN_BYTES) * ALIGN_BYTES
        self.arrays[name] = made
        return made

    def color(self, name: str = "") -> Color:
        """A new color."""
        made = Color(name or f"color {len(self.colors)}", len(self.colors))
        self.colors.append(made)
        return made

    def paint(self, color: Color, cores: Cores, *ways: Way, ring: bool = False) -> None:
        """Give the routers of cores their switch of a color, position by position.

        ring: whether the first position follows the last; else the last stays.

        Raises:
            KernelError: more ways than a switch has, or a router that has this color already.
        """
        before = self._painted.setdefault(color, Area(self.width, self.height))
        self.paints.append(painted(cores, color, ways, ring, before))

    @contextmanager
    def on(self, cores: Cores, step: str = "main") -> Iterator[Code]:
        """What these cores do next. A core does its blocks in the order in which they stand here."""
        code = Code(self._loops)
        yield code
        if len(cores):
            self.blocks.append(Block(step, cores, tuple(code.statements)))

    def scatter(self, array: Array, values: ArrayLike, cores: Cores | None = None) -> None:
        """Fill an array, or a part, before the start: values[y, x] is one core's; what lacks these axes is everyone's.

        Raises:
            KernelError: values of another shape.
        """
        cores = self[:, :] if cores is None else cores
        shape = (len(cores.y), len(cores.x), *array.shape)
        try:
            spread = np.broadcast_to(np.asarray(values, NUMPY[array.dtype]), shape)
        except (ValueError, TypeError):
            raise KernelError(
                f"Values of shape {np.shape(values)} for {array} at cores {cores}.",
                remedy=f"Numbers by [rows, columns, elements] are {shape}; without the first axes, all get the same.",
            ) from None
        self.given.append((array, cores, spread))

    def memory(self) -> NDArray[np.uint8]:
        """What all cores hold at the start, [height, width, bytes]."""
        return start(self.width, self.height, self._bytes, self.given)

    def run(
        self,
        machine: str | Wafer = "wse3",
        *,
        link_rate: float | None = None,
        setup: float | None = None,
        skew: int = 0,
        jitter: int = 0,
        seed: int = 0,
        threads: int = 0,
        limit: int = 1 << 31,
        watch: Sequence[tuple[int, int]] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        """Simulate it, cycle by cycle.

        Args:
            machine: whose core, links and queues it gets: wse1, wse2, wse3, toy-8x8, a .toml file.
            link_rate: wavelets per cycle, instead of the machine's.
            setup: cycles of every operation's set-up, instead of the machine's; loops and tasks are then free.
            skew: cores start up to so many cycles late. jitter: set-ups take up to so many more. seed: of both.
            threads: of this host; 0 for as many as help.
            limit: cycles after which it is given up.
            watch: cores (x, y) whose operations the outcome tells one by one.
            progress: is told the cycle now and then.

        Raises:
            KernelError: it breaks a rule, does not fit the machine, or does not end.
        """
        from undiced.machine import find_machine
        from undiced.sim.fabric.kernel.build import built
        from undiced.sim.fabric.kernel.ending import ended, named
        from undiced.sim.fabric.simulate import simulate

        _reasonable(link_rate=(link_rate, _RATE_MIN, 1), setup=(setup, 0, _CYCLES_MAX), skew=(skew, 0, _CYCLES_MAX))
        _reasonable(jitter=(jitter, 0, _CYCLES_MAX), threads=(threads, 0, _THREADS_MAX), limit=(limit, 1, _LIMIT_MAX))
        wafer = find_machine(machine) if isinstance(machine, str) else machine
        made = built(self, wafer, setup=setup, link_rate=link_rate)
        try:
            outcome = simulate(
                made.program,
                made.hardware,
                memory=made.memory,
                threads=threads or int(self.width * self.height <= _ALONE_MAX),
                limit=limit,
                skew=skew,
                jitter=jitter,
                seed=seed,
                watch=watch,
                progress=progress,
            )
        except ProgramFileError as error:
            raise KernelError(named(error.message, self.colors), remedy=error.remedy or _RULES) from None
        rate = link_rate or wafer.link.wavelets_per_cycle.value
        steps = tuple(section.name for section in made.program.sections)
        return Result(self, steps, ended(outcome, self.colors), wafer.name, wafer.system.clock_hz.value, rate)


def _reasonable(**given: tuple[float | None, float, float]) -> None:
    """Each number lies between its bounds.

    Raises:
        KernelError: one does not.
    """
    for name, (value, low, high) in given.items():
        if value is not None and not low <= value <= high:
            raise KernelError(f"{name}={value} is no choice.", remedy=f"Give {low:g} to {high:,.10g}.")
