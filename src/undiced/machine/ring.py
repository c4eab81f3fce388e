"""What tiles that pass around lines take, with a core's vector operations under them."""

from __future__ import annotations

from math import ceil

from undiced.machine import lines
from undiced.machine.cost import ZERO, Cost, longest
from undiced.machine.wafer import Wafer
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.work import Ring

_MOVE_BYTES = 8  # a fabric move passes 64 bits a datapath cycle


def ring_cost(wafer: Wafer, ring: Ring, compute: Cost) -> Cost:
    """All steps: the slower of wires and of datapaths, which also move every tile in and out; aligning steps before and
    the last chain behind."""
    link = wafer.link
    wires = [_step(wafer, size, ring.hops) for size in ring.tiles]
    moves = [_moved(wafer, size) for size in ring.tiles]
    under = longest(longest(*wires) * ring.steps, compute + sum(moves, ZERO) * ring.steps)
    aligned = longest(wires[0], moves[0]) * ring.aligned
    if ring.line is None:
        return aligned + under
    span = ring.line.span
    chain = lines.slice_cost(link, Tree(span, (Level(span),)), 0, lines.wavelets(link, ring.last))
    return aligned + under + lines.entry(link) + chain


def _step(wafer: Wafer, size: int, hops: int) -> Cost:
    """Every core passes its tile on, all at once."""
    link = wafer.link
    wire = lines.payload(link, lines.wavelets(link, size)) + lines.distance(link, hops)
    return wire + Cost(collective=2 * link.ramp_cycles.value + 1)


def _moved(wafer: Wafer, size: int) -> Cost:
    """A tile in and out of a core's memory."""
    setup = wafer.core.vector_setup_cycles.value
    return Cost(collective=2.0 * ceil(size / _MOVE_BYTES), overhead=2 * setup)
