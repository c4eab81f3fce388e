"""A plan: one region shape with its streams, trees, blocks and cuts, and what it costs. Knows no search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from undiced.compiler.wafer.builder import StreamBuilder
from undiced.compiler.wafer.layer import PARTS, LayerWriter, part_name
from undiced.compiler.wafer.memory import blocks_of, capacity, fits
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.partition import Block, cheapest_cuts, fastest_fill, fill, partition
from undiced.compiler.wafer.place import Tiling
from undiced.compiler.wafer.route import check_colors, fewest_colors, route_streams
from undiced.compiler.wafer.shard import Shard
from undiced.machine.cost import CostModel
from undiced.machine.instruction import Load, stream_costs
from undiced.machine.wafer import Wafer
from undiced.program import Stream

SPLIT_KINDS = ("ffn", "experts")
_BALANCE_WORTH = 1.002  # latency that a shorter interval may cost
ARRIVALS = ("enter", "enter, turning", "off wafer")


@dataclass(frozen=True, slots=True)
class Plan:
    """One shape, written and costed.

    Attributes:
        turned: whether the hidden axis lies along x instead of y.
        cycles: of each stream, one run at the bounds' context.
        ends: end index of each region's blocks.
        capacity: bytes a core has for blocks.
    """

    shard: Shard
    turned: bool
    tiling: Tiling
    streams: tuple[Stream, ...]
    colors: int
    blocks: tuple[Block, ...]
    capacity: int
    ends: tuple[int, ...]
    cycles: dict[str, float]

    @property
    def wafers(self) -> int:
        """Wafers that hold at least one region."""
        return -(-len(self.ends) // self.tiling.count)

    def contents(self) -> Iterator[tuple[Block, ...]]:
        """Each region's blocks, in order."""
        start = 0
        for end in self.ends:
            yield self.blocks[start:end]
            start = end

    def region_cycles(self) -> list[float]:
        """Cycles of each region, the arrival of the hidden state included."""
        out = []
        for number, blocks in enumerate(self.contents()):
            total = sum(self.cycles[name] * times for name, times in runs(blocks).items())
            if number:
                total += self.cycles[self.tiling.arrival(number)]
            out.append(total)
        return out

    @property
    def latency(self) -> float:
        """Cycles from a token to the next."""
        return sum(self.region_cycles()) + self.cycles.get("feedback", 0.0)

    @property
    def interval(self) -> float:
        """Cycles of the slowest region."""
        return max(self.region_cycles())


def runs(blocks: tuple[Block, ...]) -> dict[str, int]:
    """How often a region runs each stream: parts of one layer's feed-forward that lie together run as one."""
    parts = Counter((block.kind, block.layer) for block in blocks)
    out: dict[str, int] = {}
    for (kind, _), count in parts.items():
        name = part_name(kind, count) if kind in SPLIT_KINDS else kind
        out[name] = out.get(name, 0) + 1
    return out


def write_plan(
    wafer: Wafer, options: Options, shard: Shard, turned: bool, wafers: int, *, draft: bool = False
) -> Plan | None:
    """Write and cost a shape; None if it takes more colors, memory or wafers than there are.

    A `draft` is for ranking: of feed-forward parts it writes the smallest and the whole, and interpolates the rest.
    """
    mesh = wafer.mesh.size
    width, height = (shard.rows, shard.columns) if turned else (shard.columns, shard.rows)
    tiling = Tiling.of(*mesh, width, height, upright=turned)
    room = capacity(wafer, shard, options)
    if not fits(shard, options, room, wafers * tiling.count):
        return None
    model = CostModel.of(wafer)
    positions = shard.positions(options.bounds.context)
    available = free_colors(wafer)
    parts = (1, PARTS) if draft else tuple(range(1, PARTS + 1))
    routed = _route(model, options, shard, available, (sum(mesh), wafers > 1), parts)
    if routed is None:
        return None
    streams, colors = routed
    load = Load(
        positions=positions,
        batch=options.bounds.batch,
        clock_hz=wafer.system.clock_hz.value,
        io_latency_s=wafer.system.wafer_to_wafer_s.value,
        io_bytes_per_s=wafer.system.io_bytes_per_s.value,
    )
    cycles = {s.name: sum(c.cycles for _, c in stream_costs(model, s.instrs, load)) for s in streams}
    _interpolate(cycles)
    blocks = blocks_of(shard, options, cycles)
    ends = fastest_fill(blocks, room, wafers * tiling.count) if options.objective == "interval" else fill(blocks, room)
    if ends is None:
        return None
    return Plan(shard, turned, tiling, streams, colors, blocks, room, ends, cycles)


def _interpolate(cycles: dict[str, float]) -> None:
    """Cycles of parts that were not written, on the line between the smallest part and the whole."""
    for kind in SPLIT_KINDS:
        if kind in cycles:
            low, high = cycles[part_name(kind, 1)], cycles[kind]
            for parts in range(2, PARTS):
                cycles.setdefault(part_name(kind, parts), low + (high - low) * (parts - 1) / (PARTS - 1))


def _route(
    model: CostModel,
    options: Options,
    shard: Shard,
    available: int,
    feedback: tuple[int, bool],
    parts: tuple[int, ...],
) -> tuple[tuple[Stream, ...], int] | None:
    """Streams and their colors: of the numbers of slices that colors allow the fastest, in a draft the first."""
    positions = shard.positions(options.bounds.context)
    often = dict.fromkeys(("attention", *SPLIT_KINDS), float(shard.dims.layers))
    load = Load(positions=positions, batch=options.bounds.batch)
    best: tuple[float, tuple[Stream, ...], int] | None = None
    for slices, band in product(_fewer(options.scheme.slices), _fewer(options.scheme.band_slices)):
        scheme = replace(options.scheme, slices=slices, band_slices=band)
        writers = _writers(LayerWriter(shard, scheme, model, positions), options, feedback, parts)
        routed = route_streams(writers, scheme, model, positions, available, often, deep=len(parts) == PARTS)
        if routed is None:
            continue
        streams, colors = routed
        cycles = sum(often.get(s.name, 0.0) * c.cycles for s in streams for _, c in stream_costs(model, s.instrs, load))
        if best is None or cycles < best[0]:
            best = cycles, streams, colors
        if len(parts) < PARTS:
            break
    if best is None:
        return None
    check_colors(best[1], available)
    return best[1:]


def fewest_colors_of(wafer: Wafer, options: Options, shard: Shard) -> int:
    """The colors that a shape takes at the least: without slices, one tree per line of cores."""
    scheme = replace(options.scheme, slices=0, band_slices=0)
    writer = LayerWriter(shard, scheme, CostModel.of(wafer), shard.positions(options.bounds.context))
    writers = _writers(writer, options, (sum(wafer.mesh.size), False), (PARTS,))
    return fewest_colors(tuple(builder.build() for builder in writers))


def free_colors(wafer: Wafer) -> int:
    """The colors that programs may use."""
    return int(wafer.mesh.colors.value - wafer.mesh.reserved_colors.value)


def _fewer(slices: int) -> tuple[int, ...]:
    """As many slices as asked for, then fewer, then none; one alone would be none with other colors."""
    return (*range(slices, 1, -1), 0)


def balanced(plan: Plan, wafers: int, objective: str) -> Plan:
    """The plan with its regions cut exactly: where cuts cost least, or evenly if that costs next to nothing; for the
    interval in as many regions as fit."""
    if objective == "interval":
        ends = partition(plan.blocks, plan.capacity, wafers * plan.tiling.count)
        return plan if ends is None else min(plan, replace(plan, ends=ends), key=lambda p: (p.interval, p.latency))
    cheap = cheapest_cuts(plan.blocks, plan.capacity, len(plan.ends), _prices(plan))
    if cheap is not None:
        plan = min(plan, replace(plan, ends=cheap), key=lambda p: p.latency)
    ends = partition(plan.blocks, plan.capacity, len(plan.ends))
    if ends is None:
        return plan
    even = replace(plan, ends=ends)
    return even if even.latency <= plan.latency * _BALANCE_WORTH and even.wafers <= plan.wafers else plan


def _prices(plan: Plan) -> tuple[float, ...]:
    """Cycles of a cut before each block: a feed-forward block in two pieces runs twice what it would run once."""
    out: list[float] = []
    done = 0  # parts of the block's feed-forward block that come before the cut
    for before, block in zip((None, *plan.blocks), plan.blocks, strict=False):
        if before is None or block.kind not in SPLIT_KINDS or before != block:
            done = 0
            out.append(0.0)
            continue
        done += 1
        pieces = (plan.cycles[part_name(block.kind, parts)] for parts in (done, PARTS - done))
        out.append(sum(pieces) - plan.cycles[block.kind])
    return tuple(out)


def _writers(
    writer: LayerWriter, options: Options, feedback: tuple[int, bool], parts: tuple[int, ...]
) -> tuple[StreamBuilder, ...]:
    experts = writer.s.dims.experts
    out = [*(writer.enter(kind) for kind in ARRIVALS), writer.attention()]
    if experts is None or experts.dense_layers:
        out += [writer.dense_ffn(part) for part in parts]
    if experts is not None:
        out += [writer.expert_ffn(part) for part in parts]
    if options.embedding != "none":
        out.append(writer.host_embed() if options.embedding == "host" else writer.embed())
        out += [writer.head(), writer.feedback(*feedback, options.embedding == "host")]
    return tuple(out)
