"""Our mapping: any decoder on any number of wafers. Searches region shapes; each is written, cut, placed and costed.

The passes: shard (`shard`), memory, route and trees (`layer`, `reduce`), partition, place, schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from undiced.compiler.wafer.dims import Dims
from undiced.compiler.wafer.memory import capacity, total_bytes
from undiced.compiler.wafer.options import WAFERS_MAX, Options
from undiced.compiler.wafer.place import Tiling
from undiced.compiler.wafer.plan import Plan, balanced, write_plan
from undiced.compiler.wafer.resolve import dims_of
from undiced.compiler.wafer.schedule import program_of
from undiced.compiler.wafer.shard import Shard
from undiced.compiler.wafer.verify import verify
from undiced.core.errors import CompileError
from undiced.machine.wafer import Wafer
from undiced.program import Program

_WRITTEN = 48  # shapes that are written and costed exactly, the most promising by estimate
_SIDE_MIN = 8
_SHARES = 96
_COLUMN_CHOICES = 96


@dataclass(frozen=True, slots=True)
class _Shape:
    """A region shape that may hold the model: at least `regions` regions on at least `wafers` wafers."""

    shard: Shard
    turned: bool
    regions: int
    wafers: int


def compile_wafer(model: object, wafer: Wafer, options: Options | None = None) -> Program:
    """The program of our mapping. Where the wafers can't hold the embedding too, the host looks tokens up.

    Raises:
        CompileError: it fits no number of wafers, or not as many as asked for; says how many it would take.
    """
    options = options or Options()
    dims = dims_of(model)
    shapes = _shapes(dims, wafer, options)
    plan = _search(wafer, options, shapes, options.wafers)
    if plan is None and options.embedding == "wafer":
        options = replace(options, embedding="host")
        shapes = _shapes(dims, wafer, options)
        plan = _search(wafer, options, shapes, options.wafers)
    if plan is None:
        raise _refusal(dims, wafer, options, shapes)
    program = program_of(wafer, options, plan)
    verify(program, wafer)
    return program


def _refusal(dims: Dims, wafer: Wafer, options: Options, shapes: list[_Shape]) -> CompileError:
    smaller = "a smaller context or batch, or --weights int8 or int4"
    plan = _search(wafer, options, shapes, None) if options.wafers else None
    if plan is None:
        return CompileError(f"{dims.name} fits no region or no number of {wafer.name}.", remedy=f"Use {smaller}.")
    return CompileError(
        f"{dims.name} does not fit {options.wafers} x {wafer.name}: it takes {plan.wafers}.",
        remedy=f"Use --wafers {plan.wafers}, {smaller}.",
    )


def _search(wafer: Wafer, options: Options, shapes: list[_Shape], wafers: int | None) -> Plan | None:
    """The best plan on exactly `wafers` wafers, or on the fewest that hold the model."""
    if wafers is not None:
        return _best(wafer, options, [shape for shape in shapes if shape.wafers <= wafers], wafers)
    fewest = min((shape.wafers for shape in shapes), default=WAFERS_MAX + 1)
    for count in range(fewest, min(fewest + 2 + fewest // 4, WAFERS_MAX + 1)):
        plan = _best(wafer, options, [shape for shape in shapes if shape.wafers <= count], count)
        if plan is not None:
            return plan
    return None


def _best(wafer: Wafer, options: Options, shapes: list[_Shape], wafers: int) -> Plan | None:
    latency = options.objective == "latency"
    shapes = sorted(shapes, key=lambda shape: _estimate(wafer, shape, options, wafers))
    found: list[Plan] = []
    for shape in shapes:
        plan = write_plan(wafer, options, shape.shard, shape.turned, wafers)
        if plan is not None:
            found.append(plan)
        if len(found) == _WRITTEN:
            break
    best = min(found, key=lambda p: (p.latency if latency else p.interval, p.latency), default=None)
    return None if best is None else balanced(best, wafers, options.objective)


def _shapes(dims: Dims, wafer: Wafer, options: Options) -> list[_Shape]:
    mesh = int(wafer.mesh.width.value), int(wafer.mesh.height.value)
    out = []
    for rows, columns in _sides(dims, mesh, options):
        shard = Shard.of(dims, rows, columns)
        room = capacity(wafer, shard, options)
        if room <= 0:
            continue
        regions = ceil(total_bytes(shard, options) / room)
        for turned in (False, True):
            width, height = (rows, columns) if turned else (columns, rows)
            per_wafer = Tiling.of(*mesh, width, height).count
            if per_wafer and (options.region is None or options.region == (width, height)):
                out.append(_Shape(shard, turned, regions, ceil(regions / per_wafer)))
    return out


def _sides(dims: Dims, mesh: tuple[int, int], options: Options) -> Iterator[tuple[int, int]]:
    """Rows and columns worth trying: those at which some core's share just shrinks, and fractions of the mesh."""
    if options.region is not None:
        width, height = options.region
        yield from {(height, width), (width, height)}
        return
    longest = max(mesh)
    width = dims.experts.ffn if dims.experts else dims.ffn
    fractions = {side // n for side in mesh for n in range(1, 17) if side >= n}
    rows = _within({ceil(dims.dim / share) for share in range(1, _SHARES)} | fractions, longest)
    columns = _within({ceil(width / share) for share in range(1, 4 * _SHARES)} | fractions, longest)
    step = ceil(len(columns) / _COLUMN_CHOICES)
    for r in rows:
        for c in columns[::step]:
            yield r, c


def _within(sides: set[int], longest: int) -> list[int]:
    kept = sorted(side for side in sides if min(_SIDE_MIN, longest) <= side <= longest)
    return kept or [longest]


def _estimate(wafer: Wafer, shape: _Shape, options: Options, wafers: int) -> float:
    """A rough latency (or interval) that orders shapes before they are written."""
    core, link, shard = wafer.core, wafer.link, shape.shard
    batch, layers = options.bounds.batch, shard.dims.layers
    used = shard.attention_weights() + 3 * shard.d * shard.f_active()
    attended = shard.group * (shard.k + shard.positions(options.bounds.context))
    operations = 2 * shard.d + shard.q + shard.f_active() + attended
    lines = (*(shard.rows,) * 4, *(shard.columns,) * 2, shard.band)
    steps: float = sum(3.0 * pow(float(side), 1 / 3) for side in lines)
    layer: float = (
        batch * used / core.lanes_32bit.value
        + batch * operations * core.vector_setup_cycles.value
        + steps * (6 + link.step_software_cycles.value)
        + 4 * shard.rows
        + 2 * shard.columns
        + shard.band
    )
    if options.objective == "interval":
        width, height = (shard.rows, shard.columns) if shape.turned else (shard.columns, shard.rows)
        per_wafer = Tiling.of(int(wafer.mesh.width.value), int(wafer.mesh.height.value), width, height).count
        return layer * ceil(2 * layers / (wafers * per_wafer)) / 2
    return layer + (shard.rows + shard.columns) * shape.regions / layers
