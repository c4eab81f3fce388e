"""Routes of published mappings: the collectives' colors and queues are one set, which takes the routes of one tree
after another. Knows channels and trees, no mapping.
"""

from __future__ import annotations

from msgspec.structs import replace

from undiced.compiler.wafer.colors import Plan, Used, demand, refusal, used_by
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import COLORS_A_SLICE, Channel, Pool
from undiced.program.wafer.fabric import Fabric
from undiced.program.wafer.program import Stream
from undiced.program.wafer.tree import Tree


def painted(
    streams: tuple[Stream, ...], trees: tuple[Tree, ...], often: tuple[float, ...], fabric: Fabric, home: int
) -> tuple[Stream, ...]:
    """Streams whose movers have routes, with every turn of the collectives' colors; all begin and end with those of
    tree `home`.

    Raises:
        NoRoutes: colors or queues do not reach.
    """
    used = used_by(streams, trees)
    plan = _plan(tuple(demand(used, often)), streams, used, fabric)
    made = zip(plan.routed(streams, used), used, strict=True)
    return tuple(_turned(stream, channels, home) for stream, channels in made)


def _plan(channels: tuple[Channel, ...], streams: tuple[Stream, ...], every: tuple[Used, ...], fabric: Fabric) -> Plan:
    """Sums take the first two colors, what roots send the third; other movers have colors of their own."""
    colors, taken = {}, COLORS_A_SLICE + 1
    inputs: dict[Pool, int] = {}
    outputs: dict[Pool, int] = {}
    home: dict[int, int] = {}
    others = 0
    for used in channels:
        if used.tree >= 0:
            colors[used] = 0 if used.use == "sums" else COLORS_A_SLICE
        else:
            colors[used], taken = taken, taken + used.colors
        if used.pool not in inputs:
            others += used.tree < 0
            turn = 0 if used.tree >= 0 else others
            inputs[used.pool] = fabric.inputs[min(turn, len(fabric.inputs) - 1)]
            outputs[used.pool] = fabric.outputs[min(turn, len(fabric.outputs) - 1)]
            home.setdefault(outputs[used.pool], colors[used])
    if taken > fabric.colors or min(len(fabric.inputs), len(fabric.outputs)) < 2:
        raise refusal(streams, every, fabric)
    return Plan(colors, inputs, outputs, home if fabric.binds else {})


def _turned(stream: Stream, channels: Used, home: int) -> Stream:
    now, node, out = home, "", list[isa.Instruction]()
    moved = iter(channels)
    for i in stream.instructions:
        used = None if isinstance(i, isa.Rebind) else next(moved)  # those are the routes' own
        if used is not None and used.tree >= 0 and used.tree != now:
            out.append(isa.Repaint(i.node, now, used.tree))
            now = used.tree
        node = i.node
        out.append(i)
    if now != home:
        out.append(isa.Repaint(node, now, home))
    return replace(stream, instructions=tuple(out))
