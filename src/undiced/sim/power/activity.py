"""Activity: what every core of a region does in one run of a stream, counted: operations, bytes, instructions, hops.

Counts are `Work` times who does it. All that a layout gives to the fullest core is counted for every core that takes
part, so that padding counts as work, which it is. Knows no joules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced.machine import lines
from undiced.machine.arithmetic import setup_cycles, stays_beside
from undiced.machine.energy import COUNTS
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Owner, Roots, Spread, ways
from undiced.program.wafer.operands import writes
from undiced.program.wafer.program import Region, Stream, WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Tree, hops, roots
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES, Haul, Ring, Vectors, Work, wide
from undiced.program.wafer.workload import work

Numbers = NDArray[np.float64]
_ADDS_16, _ADDS_32, _OTHERS_16, _OTHERS_32, _SRAM, _INSTRUCTIONS, _HOPS, _RAMPS, _OFF_WAFER = range(len(COUNTS))


@dataclass(frozen=True, slots=True, eq=False)
class Act:
    """One instruction of a run.

    Attributes:
        node: of the graph. kind: of instruction.
        each: counts of a core that takes part, in the order of `COUNTS`. rows, columns: the share in which each logical
            row and column takes part, from 0 to 1.
    """

    node: str
    kind: str
    each: Numbers
    rows: Numbers
    columns: Numbers

    @property
    def total(self) -> Numbers:
        """Counts of the whole region."""
        found: Numbers = self.each * float(self.rows.sum() * self.columns.sum())
        return found


def acts(program: WaferProgram, wafer: Wafer, step: Step, region: Region, stream: Stream) -> list[Act]:
    """What a region's cores do in one run of a stream."""
    shares = Shares(values_of(program, stream), program.trees, step)
    counter = _Counter(wafer, shares, region.rows, region.columns)
    return [act for i in stream.instructions for act in counter.of(i)]


@dataclass(frozen=True, slots=True)
class _Counter:
    """Counts for streams of a region of so many rows and columns."""

    wafer: Wafer
    shares: Shares
    rows: int
    columns: int

    def of(self, i: isa.Instruction) -> Iterator[Act]:
        """An instruction's own work by those who do it, then what it moves."""
        done = work(i, self.shares)
        local = _local(self.wafer, done)
        who = self._who(i)
        if done.ring is not None:
            local = local + _ring(self.wafer, done.ring)
        if local.any():
            yield Act(i.node, type(i).__name__, local, *who)
        if done.haul is not None:
            yield Act(i.node, type(i).__name__, self._moved(i, done.haul), np.ones(self.rows), np.ones(self.columns))

    def _who(self, i: isa.Instruction) -> tuple[Numbers, Numbers]:
        """The share in which rows and columns work: of the value that is made; all where none is."""
        made = [self.shares.stored(name) for name in writes(i)]
        if not made or isinstance(i, isa.MOVERS):
            return np.ones(self.rows), np.ones(self.columns)
        value, trees = made[0], self.shares.trees
        return _taking_part(value.rows, self.rows, trees), _taking_part(value.columns, self.columns, trees)

    def _moved(self, i: isa.Instruction, haul: Haul) -> Numbers:
        """Counts of each core of the region, on average over its line."""
        cores = self.rows * self.columns
        if isinstance(i, isa.Reduce):
            return self._reduced(i, haul)
        if isinstance(i, isa.Multicast):
            return self._cast(haul)
        out = np.zeros(len(COUNTS))
        count = lines.wavelets(self.wafer.link, haul.pieces[0])
        lanes = min(self.rows, self.columns) if isinstance(i, isa.Return) else self.rows
        out[_HOPS], out[_RAMPS] = lanes * count * haul.hops / cores, 2 * lanes * count / cores
        out[_SRAM] = 2 * lanes * haul.pieces[0] / cores
        out[_OFF_WAFER] = (haul.off_wafer_bytes + haul.host_bytes) / cores
        return out

    def _reduced(self, i: isa.Reduce, haul: Haul) -> Numbers:
        """Every core but the last root sends each slice once; who receives it adds it to its own."""
        assert haul.tree is not None and haul.line is not None
        out, span, link = np.zeros(len(COUNTS)), haul.line.span, self.wafer.link
        for which, size in enumerate(haul.pieces):
            passed = _passed(haul.tree, which)
            sends = len(passed)
            elements = size / BYTES[DType(i.wire)]
            count = lines.wavelets(link, size)
            out[_HOPS] += (count + 1) * sum(passed) / span  # a control wavelet follows that gives the routes on
            out[_RAMPS] += count * 2 * sends / span
            out[_OTHERS_32 if wide(DType(i.wire)) else _OTHERS_16] += elements * sends / span
            out[_SRAM] += size * (sends + 1) / span
            out[_INSTRUCTIONS] += sends / span * (1 + haul.merging)
        joined = sum((_vectors(self.wafer, v) for v in haul.joining), np.zeros(len(COUNTS)))
        found: Numbers = out + joined * len(haul.pieces)
        return found

    def _cast(self, haul: Haul) -> Numbers:
        """Each piece passes every link of its line once and goes down every ramp but its sender's."""
        assert haul.line is not None
        out, span, link = np.zeros(len(COUNTS)), haul.line.span, self.wafer.link
        for size in haul.pieces:
            out[_HOPS] += lines.wavelets(link, size) * (span - 1) / span
            out[_RAMPS] += lines.wavelets(link, size)
            out[_SRAM] += size
            out[_INSTRUCTIONS] += 1
        return out


def _passed(tree: Tree, which: int) -> list[int]:
    """Hops of every send of a slice."""
    return [abs(a - b) for senders, receivers in hops(tree, which) for a, b in zip(senders, receivers, strict=True)]


def _taking_part(spread: Spread, cores: int, trees: tuple[Tree, ...]) -> Numbers:
    """Along an axis: 1 for who holds a share, 0 for who does not; an owner is any of them, with equal chance."""
    if not spread:
        return np.ones(cores)
    found: Numbers = np.ones(1)
    for part in spread:
        each = np.full(part.ways, 1 / part.ways if isinstance(part, Owner) else 1.0)
        if isinstance(part, Roots):
            each[:] = 0
            each[list(roots(trees[part.tree]))] = 1
        found = np.kron(found, each)
    return np.pad(found, (0, max(cores - ways(spread), 0)))[:cores]


def _local(wafer: Wafer, done: Work) -> Numbers:
    """Vector operations, scalar steps, calls of the library, registers written."""
    core = wafer.core
    out = np.zeros(len(COUNTS))
    for v in done.vectors:
        out += _vectors(wafer, v)
    scalar = done.scalars * core.scalar_step_cycles.value + done.calls * core.transcendental_cycles.value
    out[_INSTRUCTIONS] += scalar + done.draws * core.draw_cycles.value + done.writes
    out[_INSTRUCTIONS] += (done.tasks + 2 * done.rebinds) * core.local_task_cycles.value
    return out


def _vectors(wafer: Wafer, v: Vectors) -> Numbers:
    """Elements, bytes of memory and instructions of equal vector operations."""
    out = np.zeros(len(COUNTS))
    if v.length <= 0 or v.count <= 0:
        return out
    elements = v.length * v.count
    multiplied = v.arithmetic == "multiply_add"
    broad = wide(v.operand) or wide(v.result)
    out[(_ADDS_32 if broad else _ADDS_16) if multiplied else (_OTHERS_32 if broad else _OTHERS_16)] = elements
    out[_SRAM] = elements * (v.read + v.written) + _sums_bytes(wafer, v)
    out[_INSTRUCTIONS] = v.count + setup_cycles(wafer.core, v.count, v.loops, apart=v.apart)
    return out


def _sums_bytes(wafer: Wafer, v: Vectors) -> float:
    """Bytes of sums that are read and written in memory: of every operation, or where they go beside the datapath and
    back."""
    if not v.sums:
        return 0.0
    size, groups = BYTES[v.result] * v.length, v.count / v.sums
    if stays_beside(wafer.core, v):
        return size * groups * (2 if v.added else 1)
    return size * (2 * v.count - (0 if v.added else groups))


def _ring(wafer: Wafer, ring: Ring) -> Numbers:
    """Tiles of a core that pass on in every step."""
    out = np.zeros(len(COUNTS))
    counts = [lines.wavelets(wafer.link, size) for size in ring.tiles]
    passed = sum(counts) * ring.steps + counts[0] * ring.aligned
    out[_HOPS], out[_RAMPS] = passed * ring.hops, 2 * passed
    out[_SRAM] = 2 * (sum(ring.tiles) * ring.steps + ring.tiles[0] * ring.aligned)
    if ring.line is not None:
        joined = lines.wavelets(wafer.link, ring.last) * ring.steps
        out[_HOPS], out[_RAMPS] = out[_HOPS] + joined, out[_RAMPS] + 2 * joined
    return out
