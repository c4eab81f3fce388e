"""The mesh executor: runs a wafer program with real numbers, core by core, all cores of a region at once.

Knows programs and layouts; weights come from a function that reads a slot. It models no time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from undiced.core.errors import CompileError, ContextLengthError, InvalidRequestError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.value import DType, Growth, Kind, Value, Weights, local_shape
from undiced.sim.mesh import fabric, local
from undiced.sim.mesh.cores import F32, Batch, Cores, Numbers, rounded
from undiced.sim.mesh.spreading import gather, spread

ReadSlot = Callable[[str], F32]
Watch = Callable[[Region, Run, isa.Instruction, Cores], None]

EXECUTORS: dict[type, Callable[[Cores, isa.Instruction], None]] = {
    isa.Product: local.product,
    isa.Combine: local.combine,
    isa.Scale: local.scale,
    isa.Copy: local.copy,
    isa.Fill: local.fill,
    isa.Apply: local.apply,
    isa.Fold: local.fold,
    isa.Rotate: local.rotate,
    isa.Mask: local.mask,
    isa.Lookup: local.lookup,
    isa.Append: local.append,
    isa.Place: local.place,
    isa.Select: local.select,
    isa.Mark: local.mark,
    isa.Pick: local.pick,
    isa.Reduce: fabric.reduce,
    isa.Multicast: fabric.multicast,
    isa.Slice: fabric.slice_,
    isa.Return: fabric.return_,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a step made: the likeliest token of each token's logits, and the logits (tokens, vocabulary)."""

    tokens: tuple[int, ...]
    logits: F32


@dataclass(slots=True)
class _Site:
    """One region's lasting memory: bound weights of each run, caches of each layer, states of the step."""

    bound: list[dict[str, F32]]
    caches: list[dict[tuple[str, int], F32]] = field(default_factory=list)


class MeshExecutor:
    """Executes one program; holds the weights of every core.

    Args:
        read_slot: the float32 array of a weight slot by its graph name.
        numbers: "fp32" rounds nothing; "wafer" rounds every result and every hop to its element type.
    """

    def __init__(self, program: WaferProgram, read_slot: ReadSlot, numbers: Numbers = "fp32") -> None:
        self._program, self._numbers, self._read = program, numbers, read_slot
        self._lengths: dict[int, int] = {}
        states = {v.name: v for stream in program.streams for v in stream.values if v.kind is Kind.STATE}
        self._values = [{**states, **{v.name: v for v in stream.values}} for stream in program.streams]
        self._sites = [
            _Site([self._bind(region, run) for run in region.runs], [{} for _ in region.runs])
            for region in program.regions
        ]

    def _bind(self, region: Region, run: Run) -> dict[str, F32]:
        """The weights and tables of a run, on their cores."""
        bound = {}
        for value in self._program.streams[run.stream].values:
            if value.kind is Kind.WEIGHT and value.view is None:
                bound[value.name] = self._bound(value, region, run)
            elif value.kind is Kind.TABLE:
                table = spread(value, self._table(value), region.rows, region.columns)
                bound[value.name] = rounded(table, value.dtype) if self._numbers == "wafer" else table
        return bound

    def _bound(self, value: Value, region: Region, run: Run) -> F32:
        """A weight of its own, or several that lie side by side in a flat one."""
        if value.weights is not None:
            return self._weight(value, region, run)
        flat = np.zeros((region.rows, region.columns, *local_shape(value)), dtype=np.float32)
        for part in self._program.streams[run.stream].values:
            if part.kind is Kind.WEIGHT and part.view is not None and part.view.parent == value.name:
                shares = self._weight(part, region, run).reshape(region.rows, region.columns, -1)
                start, step = part.view.offset + part.view.pick, part.view.of
                flat[..., start : start + shares.shape[-1] * step : step] = shares
        return flat

    def _weight(self, value: Value, region: Region, run: Run) -> F32:
        held = value.weights
        assert held is not None
        name = f"layers.{run.layer}.{held.role}" if held.layer else held.role
        whole = self._read(name) if held.role else np.ones([dim.size for dim in held.order], dtype=np.float32)
        names = [dim.name for dim in held.order]
        whole = _columns_picked(held, whole) if held.columns else whole.reshape([dim.size for dim in held.order])
        whole = whole.transpose([names.index(dim.name) for dim in value.dims])
        if held.shared:
            at = [dim.name for dim in value.dims].index(held.shared)
            whole = whole[(slice(None),) * at + (slice(run.start, run.start + value.dims[at].size),)]
            short = value.dims[at].size - whole.shape[at]
            whole = np.pad(whole, [(0, short if axis == at else 0) for axis in range(whole.ndim)])
        if held.scale != 1.0:
            whole = whole * np.float32(held.scale)
        if not np.isfinite(whole).all():
            raise CompileError(f"Weight {name} holds numbers that are not finite.", remedy="Check the checkpoint.")
        shares = spread(value, whole, region.rows, region.columns)
        return rounded(shares, value.dtype) if self._numbers == "wafer" else shares

    def _table(self, value: Value) -> F32:
        """(positions, *dims) what a table holds."""
        sizes = [dim.size for dim in value.dims]
        positions = np.arange(sizes[0], dtype=np.float64)
        if isinstance(value.table, Growth):
            return (1 + value.table.scale * np.log1p(np.floor((positions + 1) / value.table.floor))).astype(np.float32)
        turned = value.table
        assert turned is not None
        frequencies = np.array(turned.frequencies, dtype=np.float64)
        if turned.divisors:
            frequencies[: turned.turned] /= self._read(turned.divisors).reshape(-1)
        angles = positions[:, None] * frequencies
        sides = (np.cos(angles), np.cos(angles)) if turned.part == "cos" else (-np.sin(angles), np.sin(angles))
        pairs = np.stack(sides, axis=-1)
        pairs[:, : turned.turned] *= turned.magnitude
        return np.broadcast_to(pairs.astype(np.float32).reshape(sizes[0], *sizes[-2:]), sizes)

    def forget(self, sequence: int) -> None:
        """Drop a sequence's caches."""
        self._lengths.pop(sequence, None)
        for site in self._sites:
            for caches in site.caches:
                for key in [key for key in caches if key[1] == sequence]:
                    del caches[key]

    def step(self, work: Sequence[tuple[int, Sequence[int]]], watch: Watch | None = None) -> Result:
        """One pass of the program.

        Args:
            work: (sequence, its new tokens) each, in any number.
            watch: called after every instruction.

        Raises:
            InvalidRequestError: no tokens, or ids beyond the vocabulary. ContextLengthError: beyond the bounds.
        """
        batch = self._batch(work)
        states: dict[str, F32] = {}
        before: tuple[Region, dict[str, F32], dict[str, Value]] | None = None
        logits: F32 | None = None
        tokens: tuple[int, ...] = ()
        for region, site in zip(self._program.regions, self._sites, strict=True):
            cores = self._cores(region, batch)
            for number, run in enumerate(region.runs):
                stream = self._program.streams[run.stream]
                cores.values = self._values[run.stream]
                cores.bound, cores.caches = site.bound[number], site.caches[number]
                self._open_caches(cores, stream)
                for instruction in stream.instructions:
                    if isinstance(instruction, isa.Transfer):
                        assert before is not None
                        _transfer(cores, instruction, *before)
                    else:
                        EXECUTORS[type(instruction)](cores, instruction)
                    if watch is not None:
                        watch(region, run, instruction, cores)
                if "logits" in cores.values and "logits" in cores.arrays:
                    logits = local.whole(cores, "logits")
                    chosen = cores.read("token")[0, 0]
                    tokens = tuple(int(t) for t in chosen.reshape(batch.size, -1)[:, 0])
                cores.arrays = {n: a for n, a in cores.arrays.items() if cores.values[n].kind is Kind.STATE}
            before = region, dict(cores.arrays), {n: cores.values[n] for n in cores.arrays}
        assert logits is not None
        return Result(tokens, logits)

    def _batch(self, work: Sequence[tuple[int, Sequence[int]]]) -> Batch:
        tokens: list[int] = []
        positions: list[int] = []
        sequences: list[int] = []
        for sequence, new in work:
            start = self._lengths.get(sequence, 0)
            if start + len(new) > self._program.bounds.context:
                raise ContextLengthError(
                    f"The sequence would have {start + len(new)} tokens; the program holds"
                    f" {self._program.bounds.context}."
                )
            tokens += new
            positions += range(start, start + len(new))
            sequences += [sequence] * len(new)
            self._lengths[sequence] = start + len(new)
        if not tokens or min(tokens) < 0 or max(tokens) >= self._program.vocab:
            raise InvalidRequestError(f"A step takes token ids from 0 to {self._program.vocab - 1}, at least one.")
        return Batch(*(np.array(column, dtype=np.int64) for column in (tokens, positions, sequences)))

    def _cores(self, region: Region, batch: Batch) -> Cores:
        cores = Cores(region.rows, region.columns, self._program.trees, self._numbers, batch)
        cores.lengths = self._lengths
        cores.positions = max(self._lengths[int(s)] for s in batch.sequences)
        return cores

    def _open_caches(self, cores: Cores, stream: Stream) -> None:
        for value in stream.values:
            if value.kind is Kind.CACHE:
                for sequence in set(map(int, cores.batch.sequences)):
                    if (value.name, sequence) not in cores.caches:
                        shape = cores.rows, cores.columns, *local_shape(value)
                        cores.caches[value.name, sequence] = np.zeros(shape, dtype=np.float32)


def _columns_picked(held: Weights, whole: F32) -> F32:
    """A slot as its `order` names it, the columns of heads picked."""
    at = [dim.name for dim in held.order].index(held.picked[0])
    sizes = [dim.size for dim in held.order]
    before, after = sizes[:at], sizes[at + len(held.picked) :]
    count = held.among or len(held.columns)
    return whole.reshape(*before, count, *after).take(np.array(held.columns), axis=at).reshape(sizes)


def _transfer(
    cores: Cores, i: isa.Transfer, region: Region, arrays: dict[str, F32], values: dict[str, Value]
) -> None:
    whole = gather(values[i.a], arrays[i.a], lead=1)
    value = cores.values[i.result]
    moved = np.stack([spread(value, cores.rounded_as(row, DType(i.wire)), cores.rows, cores.columns) for row in whole])
    cores.write(i.result, np.moveaxis(moved, 0, 2))
