"""Puts the weights of a program on the cores of its regions, and the tables that it makes at load.

A slot is read once, spread for every run that uses it, and let go, so that its numbers are held once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from undiced.core.errors import CheckpointError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer import integers
from undiced.program.wafer.again import kept_elsewhere
from undiced.program.wafer.layout import PROMPT
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.value import GROUPS, Growth, Kind, Rotation, Table, Value, Weights, local_shape
from undiced.sim.mesh.quantizing import quantized
from undiced.sim.mesh.rounding import F32, Numbers, rounded
from undiced.sim.mesh.spreading import spread

ReadSlot = Callable[[str], F32]
Bound = dict[str, F32]
Progress = Callable[[float, float], None]
_READERS = 2  # slots read and spread at once


@dataclass(frozen=True, slots=True)
class _Use:
    """A weight of a run: what it is, the grid that it is spread over, and where its shares go."""

    value: Value
    held: Weights
    region: Region
    run: Run
    into: Bound

    @property
    def slot(self) -> str:
        """Its name in the graph; "" for ones."""
        return f"layers.{self.run.layer}.{self.held.role}" if self.held.role and self.held.layer else self.held.role


def bind(
    program: WaferProgram, read: ReadSlot, numbers: Numbers, progress: Progress | None = None
) -> list[list[Bound]]:
    """Arrays [rows, columns, *share] by name, for each run of each region.

    Args:
        read: the float32 array of a slot by its name in the graph; may be called by several threads.
        progress: called with (slots bound, slots in all).

    Raises:
        CheckpointError: a weight is no finite number.
    """
    made = [[Bound() for _ in region.runs] for region in program.regions]
    slots: dict[str, list[_Use]] = {}
    for region, bounds in zip(program.regions, made, strict=True):
        for run, bound in zip(region.runs, bounds, strict=True):
            stream = program.streams[run.stream]
            for value in stream.values:
                if value.table is not None:
                    bound[value.name] = _stored(value, tabled(value, value.table, read), region, numbers)
            for use in _uses(stream.values, region, run, bound):
                slots.setdefault(use.slot, []).append(use)
    with ThreadPoolExecutor(_READERS) as pool:
        for done, _ in enumerate(pool.map(partial(_bind_slot, read, numbers), slots.items()), 1):
            if progress is not None:
                progress(done, len(slots))
    if numbers == "wafer":
        for region, bounds in zip(program.regions, made, strict=True):
            for run, bound in zip(region.runs, bounds, strict=True):
                _quantize(program.streams[run.stream], bound)
    for site, keeper in kept_elsewhere(program):
        assert keeper is not None, site
        mine, kept = made[site.region][site.run], made[keeper.region][keeper.run]
        mine[site.name] = kept[keeper.name]
        if integers.scales(keeper.name) in kept:
            mine[integers.scales(site.name)] = kept[integers.scales(keeper.name)]
    return made


def weight_bytes(program: WaferProgram) -> int:
    """Bytes of all arrays that `bind` makes."""
    total = 0
    for region in program.regions:
        for run in region.runs:
            for value in program.streams[run.stream].values:
                if value.kind in (Kind.WEIGHT, Kind.TABLE) and value.view is None and not value.again:
                    cores = (region.rows if value.rows else 1) * (region.columns if value.columns else 1)
                    total += 4 * cores * prod(local_shape(value))
    return total


def _uses(values: tuple[Value, ...], region: Region, run: Run, bound: Bound) -> Iterator[_Use]:
    """The weights of a run; memory that several of them share is made at once."""
    for value in values:
        if value.kind is not Kind.WEIGHT or value.again:
            continue
        if value.weights is not None:
            yield _Use(value, value.weights, region, run, bound)
        elif value.view is None:
            bound[value.name] = np.zeros((region.rows, region.columns, *local_shape(value)), dtype=np.float32)


def _quantize(stream: Stream, bound: Bound) -> None:
    """Narrow weights as cores hold them: rows of products, and of tables."""
    values = {value.name: value for value in stream.values}
    left = {name for name in bound if values[name].kind is Kind.WEIGHT and values[name].dtype in GROUPS}
    for i in stream.instructions:
        if isinstance(i, isa.Product) and left.issuperset(i.weights):
            for name in i.weights:
                rows = _rows(bound[name], integers.row_length(values[name], i.inner))
                made, bound[integers.scales(name)] = quantized(rows, values[name].dtype)
                bound[name] = np.ascontiguousarray(made).reshape(bound[name].shape)
            left -= set(i.weights)
    for name in left:
        array = bound[name]
        held, bound[integers.scales(name)] = quantized(_rows(array, prod(array.shape[3:])), values[name].dtype)
        bound[name] = held.reshape(array.shape)


def _rows(array: F32, row: int) -> F32:
    return array.reshape(*array.shape[:2], -1, row)


def _bind_slot(read: ReadSlot, numbers: Numbers, slot: tuple[str, list[_Use]]) -> None:
    name, uses = slot
    whole = read(name) if name else None
    if whole is not None and not np.isfinite(whole).all():
        raise CheckpointError(f"Weight {name} holds numbers that are not finite.", remedy="Check the checkpoint.")
    for use in uses:
        shares = _stored(use.value, ordered(use.value, use.held, use.run, whole), use.region, numbers)
        view = use.value.view
        if view is None:
            use.into[use.value.name] = shares
        else:
            flat, start = shares.reshape(*shares.shape[:2], -1), view.offset + view.pick
            use.into[view.parent][..., start : start + flat.shape[-1] * view.of : view.of] = flat


def _stored(value: Value, whole: F32, region: Region, numbers: Numbers) -> F32:
    """As cores hold it; integers are made of it later."""
    exact = numbers != "wafer" or value.dtype in GROUPS
    return spread(value, whole if exact else rounded(whole, value.dtype), region.rows, region.columns)


def ordered(value: Value, held: Weights, run: Run, slot: F32 | None) -> F32:
    """A slot's elements (ones without a slot) as the whole array over the dimensions of `value`; of what runs share
    out, the part of this run, and 0 where the slot ends before the part does.
    """
    names, sizes = [dim.name for dim in held.order], [dim.size for dim in held.order]
    whole = np.ones(sizes, dtype=np.float32) if slot is None else _picked(held, slot).reshape(sizes)
    whole = whole.transpose([names.index(dim.name) for dim in value.dims])
    if held.shared:
        at = [dim.name for dim in value.dims].index(held.shared)
        start = run.start // held.step[0] * held.step[1]
        whole = whole[(slice(None),) * at + (slice(start, start + value.dims[at].size),)]
        short = value.dims[at].size - whole.shape[at]
        whole = np.pad(whole, [(0, short if axis == at else 0) for axis in range(whole.ndim)]) if short else whole
    with np.errstate(over="ignore"):
        return whole if held.scale == 1.0 else whole * np.float32(held.scale)


def _picked(held: Weights, slot: F32) -> F32:
    """A slot with the columns of its heads picked; as it is where they stay as they lie."""
    if not held.columns:
        return slot
    at = [dim.name for dim in held.order].index(held.picked[0])
    sizes = [dim.size for dim in held.order]
    heads, rest = sizes[:at], sizes[at + len(held.picked) :]
    return slot.reshape(*heads, held.among or len(held.columns), *rest).take(np.array(held.columns), axis=at)


def tabled(value: Value, table: Table, read: ReadSlot) -> F32:
    """What a table holds over the dimensions of `value`, of which the first counts positions, or the prompt's."""
    sizes = [dim.size for dim in value.dims]
    if value.dims[-1].name == PROMPT != value.dims[0].name:
        first = structs.replace(value, dims=(value.dims[-1], *value.dims[:-1]))
        return np.moveaxis(tabled(first, table, read), 0, -1)
    positions = np.arange(sizes[0], dtype=np.float64)
    if isinstance(table, Growth):
        return (1 + table.scale * np.log1p(np.floor((positions + 1) / table.floor))).astype(np.float32)
    made = _rotations(table, positions, read)
    return np.broadcast_to(made.reshape(sizes[0], *(1,) * len(sizes[1:-2]), *sizes[-2:]), sizes)


def _rotations(rotation: Rotation, positions: NDArray[np.float64], read: ReadSlot) -> F32:
    """(positions, pairs, 2): cosines, or sines of which the first of each pair is negative, or a cosine and a sine."""
    frequencies = np.array(rotation.frequencies, dtype=np.float64)
    if rotation.divisors:
        frequencies[: rotation.turned] /= read(rotation.divisors).reshape(-1)
    angles = positions[:, None] * frequencies
    cosine, sine = np.cos(angles), np.sin(angles)
    for side in (cosine, sine):
        side[:, : rotation.turned] *= rotation.magnitude
    parts = {"cos": (cosine, cosine), "sin": (-sine, sine), "both": (cosine, sine)}
    pairs: F32 = np.stack(parts[rotation.part], axis=-1).astype(np.float32)
    return pairs
