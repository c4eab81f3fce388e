"""Schedule: a plan becomes a program. What each region runs for a token, in order, and the facts that reports need."""

from __future__ import annotations

from collections.abc import Iterator

from undiced.compiler.wafer.assemble import wafer_program
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.plan import ARRIVALS, Plan, runs
from undiced.machine.region import RegionParams, Role
from undiced.machine.wafer import Wafer
from undiced.program import Program, Region

_ROLES = {"embed": Role.EMBED, "head": Role.HEAD, "feedback": Role.HEAD, **dict.fromkeys(ARRIVALS, Role.ENTER)}


def program_of(wafer: Wafer, options: Options, plan: Plan) -> Program:
    """The program of a plan."""
    regions, facts = tuple(_regions(plan)), _facts(wafer, options, plan)
    return wafer_program(plan.shard.dims, wafer, options.bounds, regions, plan.streams, facts)


def _regions(plan: Plan) -> Iterator[Region]:
    """Equal blocks of a region are one entry with repeats."""
    index = {stream.name: i for i, stream in enumerate(plan.streams)}

    def region(name: str, times: int, number: int, layer: int) -> Region:
        wafer, rect = plan.tiling.place(number)
        role = _ROLES.get(name, Role.LAYERS)
        params = RegionParams(role, layer, times, plan.shard.rows)
        return Region(rect, code=index[name], params=params.pack(), wafer=wafer, name=f"{number}: {name}")

    number = -1
    for number, blocks in enumerate(plan.contents()):
        first = next((block.layer for block in blocks if block.layer >= 0), -1)
        if number:
            yield region(plan.tiling.arrival(number), 1, number, first)
        for name, times in runs(blocks).items():
            yield region(name, times, number, first)
    if "feedback" in index:
        yield region("feedback", 1, number, -1)


def _facts(wafer: Wafer, options: Options, plan: Plan) -> tuple[tuple[str, float], ...]:
    """Memory of the fullest core, and the context that the tightest region still has room for."""
    shard, bounds = plan.shard, options.bounds
    row = shard.kv_bytes(options.scheme, 1, bounds.batch)
    scores = 8 * shard.group * bounds.batch
    fullest, room = 0, None
    for blocks in plan.contents():
        used, free = (sum(block.sizes[i] for block in blocks) for i in range(2))
        layers = sum(block.kind == "attention" for block in blocks)
        fullest = max(fullest, used, free)
        if layers:
            more = (plan.capacity - used) // (layers * row + scores)
            room = more if room is None else min(room, more)
    positions = shard.positions(bounds.context) + (room or 0)
    return (
        ("sram_bytes_max_per_core", float(int(wafer.core.sram_bytes.value) - plan.capacity + fullest)),
        ("max_context_tokens", float(positions * shard.rows)),
        ("fits", 1.0),
        ("layers", float(shard.dims.layers)),
        ("wafers", float(plan.wafers)),
        ("colors", float(plan.colors)),
        ("regions", float(len(plan.ends))),
        ("regions_per_wafer", float(plan.tiling.count)),
        ("turned", float(plan.turned)),
        ("buffer_bytes_per_sequence", float(shard.buffer_bytes(options.scheme, bounds.context, 1))),
        ("free_bytes", float(plan.capacity - fullest)),
        ("code_bytes", float(wafer.core.lean_code_bytes.value if options.lean else wafer.core.code_bytes.value)),
    )
