"""A region of one or two movers on random terms, at level 1 and at level 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
from numpy.typing import NDArray
from support.mesh_cores import cores, execute

from undiced.machine import PRESETS
from undiced.machine.wafer import Wafer
from undiced.program import Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Replicate, Roots
from undiced.program.wafer.program import Region, Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Tree, roots
from undiced.program.wafer.value import DType, Value
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.channels import Channels
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.lowered import Lowered
from undiced.sim.fabric.lower.paints import paints
from undiced.sim.fabric.lower.shares import multicast
from undiced.sim.fabric.lower.sums import reduce
from undiced.sim.fabric.microops import Wait
from undiced.sim.fabric.outcome import Outcome
from undiced.sim.fabric.program import FabricProgram, Section

_NUMPY = {DType.F32: np.float32, DType.F16: np.float16}
_MEMORY = 4096
Simulate = Callable[..., Outcome]


@dataclass(frozen=True)
class Movers:
    """Terms `a`, joined as `sum` at the roots of a tree, and sent back as `all`."""

    tree: Tree
    size: int = 5
    wire: str = "f32"
    terms: DType = DType.F32
    kept: DType = DType.F32
    axis: Axis = Axis.COLUMNS
    lines: int = 1
    across: int = 2
    beyond: int = 0
    turned: bool = False
    whole: bool = False
    riders: int = 0
    granule: int = 1
    operation: str = "sum"
    apart: bool = False
    times: int = 1
    shape: tuple[int, ...] = ()
    wafer: Wafer = field(default=PRESETS["wse3"](), repr=False)

    @property
    def line(self) -> isa.Line:
        return isa.Line(self.axis, self.tree.span)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        along = self.tree.span * self.lines + self.beyond
        return (along, self.across) if self.axis is Axis.ROWS else (self.across, along)

    @property
    def values(self) -> tuple[Value, ...]:
        span, sizes = self.tree.span, self.shape or (self.size,)
        dims = tuple(Dim(f"dim {n}", size) for n, size in enumerate(sizes))
        lead = (Replicate(self.lines),) if self.lines > 1 else ()
        parts = {
            "a": (*lead, Partial("sum" if self.operation == "sum" else "max", span)),
            "sum": (*lead, Roots(span, 0, self.granule, self.riders, self.whole)),
            "all": (*lead, Replicate(span)),
        }
        types = {"a": self.terms, "sum": self.kept, "all": DType(self.wire)}
        named = "rows" if self.axis is Axis.ROWS else "columns"
        return tuple(Value(name, dims, types[name], **{named: part}) for name, part in parts.items())

    @property
    def instructions(self) -> tuple[isa.Instruction, ...]:
        slices = self.tree.slices
        sums = isa.Route(0, 2 * slices, 2, 2)
        made: tuple[isa.Instruction, ...] = (
            isa.Reduce("node", self.operation, "sum", "a", self.line, self.wire, sums),
        )
        if not self.riders:
            shares = isa.Route(2 * slices, 1, 2, 2)
            made = (*made, isa.Multicast("node", "all", "sum", self.line, self.wire, shares, self.apart))
        return made

    def frame(self) -> Frame:
        """Values one behind the other in memory."""
        rows, columns = self.grid
        rect = Rect(0, 0, rows, columns) if self.turned else Rect(0, 0, columns, rows)
        values = {value.name: value for value in self.values}
        shares = Shares(values, (self.tree,), Step(context=1))
        homes, at = dict[str, int](), 8
        for name in values:
            homes[name], at = at, -(-(at + size_of(values[name].dtype) * shares.size(name)) // 8) * 8 + 8
        stream = Stream("stream", self.values, self.instructions)
        return Frame(
            wafer=self.wafer, region=Region("region", 0, rect, (), self.turned), shares=shares, full=shares,
            homes=homes, joined={}, sliced={}, tables={}, free=at, token=0, position=0,
            channels=Channels.of((stream,), (self.tree,)),
        )  # fmt: skip

    def terms_of(self, seed: int = 0) -> NDArray[np.float32]:
        """[rows, columns, size]."""
        if self.operation == "top":
            return self._lists(seed)
        drawn = np.random.default_rng(seed).normal(0, 1, (*self.grid, self.size))
        return drawn.astype(_NUMPY[self.terms]).astype(np.float32)

    def _lists(self, seed: int) -> NDArray[np.float32]:
        """Lists in order, with few different values, ids in any order, and nothing at the end of some."""
        rng, (rows, *_, length) = np.random.default_rng(seed), self.shape
        lists = self.size // rows // length
        made = rng.normal(0, 1, (*self.grid, rows, lists, length)).astype(np.float32)
        ids = np.argsort(rng.random((*self.grid, lists, length)), axis=-1) + 100 * np.arange(prod(self.grid)).reshape(
            *self.grid, 1, 1
        )
        values = rng.integers(-3, 4, ids.shape).astype(np.float32)
        empty = np.arange(length) >= length - rng.integers(0, 2, (*self.grid, 1, 1)) * (length // 2)
        values[np.broadcast_to(empty, values.shape)] = -np.inf
        order = np.lexsort((ids, -values), axis=-1)
        made[:, :, 0], made[:, :, 1] = np.take_along_axis(values, order, -1), np.take_along_axis(ids, order, -1)
        made[:, :, 1][np.isneginf(made[:, :, 0])] = -1
        made[:, :, 2:][np.isneginf(made[:, :, :1]).repeat(rows - 2, axis=2)] = 0
        return made.reshape(*self.grid, self.size)

    def level_1(self, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        """What the executor makes of them: [rows, columns, share]."""
        made = cores(*self.grid, self.values, {}, trees=(self.tree,), numbers="wafer")
        made.arrays["a"] = self.terms_of(seed).reshape(*self.grid, 1, *(self.shape or (self.size,)))
        execute(made, *self.instructions)
        names = [name for name in ("sum", "all") if name in made.arrays]
        return {name: made.full(made.read(name)).reshape(*self.grid, -1) for name in names}

    def program(self) -> tuple[Frame, FabricProgram]:
        """Both movers, `times` times, each when the one before has ended; nothing else."""
        frame = self.frame()
        rect, sections = frame.region.rect, list[Section]()
        lowered = [self.lower(i, frame) for i in self.instructions]
        for _ in range(self.times):
            before: Lowered | None = None
            for each in lowered:
                threads = tuple(sorted({running.thread for running in before.running})) if before else ()
                sections += (_after(section, threads) for section in each.sections)
                before = each
        last = Section("end", ((frame.role(), (Wait(tuple(range(8))),)),))
        program = FabricProgram(rect.width, rect.height, _MEMORY, paints(frame), (*sections, last))
        return frame, program

    def lower(self, i: isa.Instruction, frame: Frame) -> Lowered:
        return reduce(i, frame) if isinstance(i, isa.Reduce) else multicast(i, frame)

    def run(self, simulate: Simulate, seed: int = 0, hardware: Hardware | None = None) -> tuple[Frame, Outcome]:
        """Level 2 on a simulator."""
        frame, program = self.program()
        memory = np.zeros((program.height, program.width, _MEMORY), np.uint8)
        self._grid_of(memory)[:, :, slice(*self._bytes(frame, "a"))] = (
            self.terms_of(seed).astype(_NUMPY[self.terms]).view(np.uint8)
        )
        return frame, simulate(program, hardware or Hardware.of(self.wafer), memory=memory)

    def level_2(self, frame: Frame, outcome: Outcome, name: str) -> NDArray[np.float32]:
        """[rows, columns, share] of a value."""
        dtype = _NUMPY[frame.value(name).dtype]
        raw = self._grid_of(outcome.memory)[:, :, slice(*self._bytes(frame, name))]
        return np.ascontiguousarray(raw).view(dtype).astype(np.float32)

    def differences(self, frame: Frame, outcome: Outcome, seed: int = 0) -> list[str]:
        """Where both levels do not hold the same bits."""
        found = []
        for name, wanted in self.level_1(seed).items():
            have = self.level_2(frame, outcome, name)
            for row, column, index in np.argwhere(self._compared(name, frame) & (have != wanted)):
                found.append(
                    f"{name}[{row}, {column}, {index}]: {have[row, column, index]}, not {wanted[row, column, index]}"
                )
        return found

    def _compared(self, name: str, frame: Frame) -> NDArray[np.bool_]:
        """Elements that mean something: of a sum at its own root, without padding."""
        size, span = frame.shares.size(name), self.tree.span
        mask = np.zeros((*self.grid, size), bool)
        along = mask if self.axis is Axis.ROWS else mask.swapaxes(0, 1)
        for number in range(self.lines):
            line = along[number * span : (number + 1) * span]
            if name == "all":
                line[:] = True
                continue
            for which, root in enumerate(roots(self.tree)):
                body = size - self.riders
                there = body if self.whole else max(0, min(body, self.size - self.riders - which * body))
                line[root, :, :there] = True
                line[root, :, body:] = True
        return mask

    def _bytes(self, frame: Frame, name: str) -> tuple[int, int]:
        start = frame.address(name)
        return start, start + size_of(frame.value(name).dtype) * frame.shares.size(name)

    def _grid_of(self, memory: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[rows, columns, bytes] of memory by height and width."""
        return memory.swapaxes(0, 1) if self.turned else memory


def _after(section: Section, threads: tuple[int, ...]) -> Section:
    if not threads:
        return section
    return replace(section, blocks=tuple((role, (Wait(threads), *script)) for role, script in section.blocks))
