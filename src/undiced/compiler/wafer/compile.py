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
from undiced.compiler.wafer.place import Tiling, check_region
from undiced.compiler.wafer.plan import Plan, balanced, fewest_colors_of, free_colors, write_plan
from undiced.compiler.wafer.refusal import fewest_wafers, refusal
from undiced.compiler.wafer.resolve import dims_of
from undiced.compiler.wafer.schedule import program_of
from undiced.compiler.wafer.shard import Shard
from undiced.compiler.wafer.verify import verify
from undiced.core.errors import CompileError
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program import Bounds, Program

_WRITTEN = 48  # shapes that are written and costed exactly, the most promising by estimate
_SIDE_MIN = 8
_LARGEST_BLOCK = 0.5  # of a layer: attention, which no region boundary cuts
_PASSES = 5  # times a payload crosses a ramp on its way through a tree and back
_MATH_OPERATIONS = 15  # of an exponential or an activation, for estimates
_SHARES = 96
_COLUMN_CHOICES = 96
_BAND_SHARES = 17


@dataclass(frozen=True, slots=True)
class _Shape:
    """A region shape that may hold the model: at least `regions` regions on at least `wafers` wafers."""

    shard: Shard
    turned: bool
    regions: int
    wafers: int


def compile_wafer(model: object, wafer: Wafer, options: Options | None = None) -> Program:
    """The program of our mapping. On several wafers the host may look tokens up, if that is faster or needs fewer.

    Raises:
        CompileError: it fits no number of wafers, or not as many as asked for; says how many it would take.
    """
    options = options or Options()
    dims = dims_of(model)
    if options.region is not None:
        check_region(wafer, *options.region)
    shapes = _colored(_shapes(dims, wafer, options), wafer, options)
    plan = _search(wafer, options, shapes, options.wafers)
    if options.embedding == "wafer" and (plan is None or plan.wafers > 1):
        hosted = replace(options, embedding="host")
        other_shapes = _rebound(shapes, wafer, hosted)
        other = _search(wafer, hosted, other_shapes, options.wafers)
        if other is not None and (plan is None or _rank(other, options) < _rank(plan, options)):
            options, shapes, plan = hosted, other_shapes, other
    if plan is None:
        raise _refusal(dims, wafer, options)
    program = program_of(wafer, options, plan)
    if isinstance(model, Graph):
        program = replace(program, graph_digest=model.digest)
    verify(program, wafer)
    return program


def _rank(plan: Plan, options: Options) -> tuple[float, float, float]:
    """What makes a plan better: fewer wafers where they may be chosen, then the objective, then latency."""
    first = plan.latency if options.objective == "latency" else plan.interval
    return 0.0 if options.wafers else float(plan.wafers), first, plan.latency


def _refusal(dims: Dims, wafer: Wafer, options: Options) -> CompileError:
    free = replace(options, bounds=Bounds(1, 1), region=None)
    shapes = _colored(_shapes(dims, wafer, free), wafer, free)
    return refusal(dims, wafer, options, [(shape.shard, shape.turned) for shape in shapes])


def _colored(shapes: list[_Shape], wafer: Wafer, options: Options) -> list[_Shape]:
    """The shapes for which there are colors. What a shape takes depends on which kinds of lines it has, not on sizes.

    Raises:
        CompileError: there are shapes, and colors for none of them.
    """
    needed: dict[tuple[bool, ...], int] = {}
    kept = []
    for shape in shapes:
        shard = shape.shard
        kind = shard.rows > 1, shard.columns > 1, shard.band > 1, shard.bands > 1, shard.free_columns() > 0
        if kind not in needed:
            needed[kind] = fewest_colors_of(wafer, options, shard)
        if needed[kind] <= free_colors(wafer):
            kept.append(shape)
    if shapes and not kept:
        raise CompileError(
            f"{wafer.name} has {free_colors(wafer)} colors for programs; this one needs {min(needed.values())}.",
            remedy="Use a machine with more colors, or fewer of them reserved (mesh.colors, mesh.reserved_colors).",
        )
    return kept


def _search(wafer: Wafer, options: Options, shapes: list[_Shape], wafers: int | None) -> Plan | None:
    """The best plan on exactly `wafers` wafers, or on the fewest that hold the model."""
    if wafers is not None:
        return _best(wafer, options, [shape for shape in shapes if shape.wafers <= wafers], wafers)
    fewest = min((shape.wafers for shape in shapes), default=WAFERS_MAX + 1)
    for count in range(fewest, min(fewest + 2 + fewest // 4, WAFERS_MAX + 1)):
        plan = _best(wafer, options, [shape for shape in shapes if shape.wafers <= count], count)
        if plan is not None:
            return plan
    exact = fewest_wafers(wafer, options, [(shape.shard, shape.turned) for shape in shapes])
    return None if exact is None else _best(wafer, options, shapes, exact)


def _best(wafer: Wafer, options: Options, shapes: list[_Shape], wafers: int) -> Plan | None:
    latency = options.objective == "latency"
    shapes = sorted(shapes, key=lambda shape: _estimate(wafer, shape, options, wafers))
    found: list[Plan] = []
    for shape in shapes:
        plan = write_plan(wafer, options, shape.shard, shape.turned, wafers, draft=True)
        if plan is not None:
            found.append(plan)
        if len(found) == _WRITTEN:
            break
    best = min(found, key=lambda p: (p.latency if latency else p.interval, p.latency), default=None)
    if best is not None:
        best = write_plan(wafer, options, best.shard, best.turned, wafers)
    return None if best is None else balanced(best, wafers, options.objective)


def _shapes(dims: Dims, wafer: Wafer, options: Options) -> list[_Shape]:
    mesh = wafer.mesh.size
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


def _rebound(shapes: list[_Shape], wafer: Wafer, options: Options) -> list[_Shape]:
    """The same shapes with their needs under other options of the same bounds."""
    mesh = wafer.mesh.size
    out = []
    for shape in shapes:
        shard = shape.shard
        regions = ceil(total_bytes(shard, options) / capacity(wafer, shard, options))
        width, height = (shard.rows, shard.columns) if shape.turned else (shard.columns, shard.rows)
        out.append(replace(shape, regions=regions, wafers=ceil(regions / Tiling.of(*mesh, width, height).count)))
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
    shares = _within({ceil(width / share) for share in range(1, 4 * _SHARES)}, longest)
    bands = {dims.kv_heads * ceil(dims.head_dim / share) for share in range(1, _BAND_SHARES)}
    columns = _within({*shares[:: ceil(len(shares) / _COLUMN_CHOICES)], *bands, *fractions}, longest)
    for r in rows:
        for c in columns:
            yield r, c


def _within(sides: set[int], longest: int) -> list[int]:
    kept = sorted(side for side in sides if min(_SIDE_MIN, longest) <= side <= longest)
    return kept or [longest]


def _estimate(wafer: Wafer, shape: _Shape, options: Options, wafers: int) -> float:
    """A rough latency (or interval) that orders shapes before they are written."""
    shard, batch, layers = shape.shard, options.bounds.batch, shape.shard.dims.layers
    layer = batch * _estimated_core(wafer, shard, options) + _estimated_wires(wafer, shard, options)
    if options.objective == "interval":
        width, height = (shard.rows, shard.columns) if shape.turned else (shard.columns, shard.rows)
        per_wafer = Tiling.of(*wafer.mesh.size, width, height).count
        return layer * max(layers / (wafers * per_wafer), _LARGEST_BLOCK)
    return layer + (shard.rows + shard.columns) * shape.regions / layers


def _estimated_core(wafer: Wafer, shard: Shard, options: Options) -> float:
    """Multiply-adds, set-ups and vector mathematics of a layer on a core."""
    core, scheme = wafer.core, options.scheme
    f, positions = shard.f_active(), shard.positions(options.bounds.context)
    weights = shard.attention_weights() + 3 * shard.d * f
    each = core.lanes_32bit.value if scheme.cached else core.write_bytes_per_cycle.value / scheme.sum_bytes
    attended = shard.k * (positions + shard.group)
    operations = 2 * shard.d + shard.q + f + attended + 12 * _MATH_OPERATIONS
    scores = shard.group * positions
    math = _MATH_OPERATIONS * (f / max(scheme.slices, 1) + scores) / 2
    return weights / each + operations * core.vector_setup_cycles.value + math


def _estimated_wires(wafer: Wafer, shard: Shard, options: Options) -> float:
    """Distance, payload and dependent steps of a layer's collectives."""
    link, scheme, batch = wafer.link, options.scheme, options.bounds.batch
    along_rows = 3 if scheme.plain_softmax else 4
    distance = along_rows * shard.rows + 2 * shard.columns + shard.band
    scores = shard.group * shard.positions(options.bounds.context)
    elements = float(2 * shard.q + 2 * shard.k + 2 * shard.d + scores)
    elements += 2 * shard.f_active() * (1 / max(scheme.slices, 1) + 1 / _PASSES)
    payload = _PASSES * batch * elements * scheme.wire_bytes / link.wavelet_bytes.value / link.wavelets_per_cycle.value
    sides = (*(shard.rows,) * along_rows, shard.columns, shard.columns, shard.band)
    steps: float = sum(2.0 * pow(float(side), 1 / 3) for side in sides)
    return distance + payload + steps * (2 * link.ramp_cycles.value + 2 + link.step_software_cycles.value)
