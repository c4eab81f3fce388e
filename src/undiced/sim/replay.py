"""Times a replay: parts by the costs that programs pay, chunks as they follow each other through the regions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from undiced.machine import lines
from undiced.machine.arithmetic import local_cost
from undiced.machine.cost import ZERO, Cost
from undiced.machine.ring import ring_cost
from undiced.machine.wafer import Wafer
from undiced.program.wafer.replay import Joined, Part, Replay
from undiced.program.wafer.tree import roots
from undiced.program.wafer.work import Work
from undiced.sim.prompt import piped


@dataclass(frozen=True, slots=True)
class PromptTime:
    """Cycles of a prompt.

    Attributes:
        cycles: from the first chunk's begin in the first region to the last one's end in the last.
        interval: of the slowest region, for the last chunk. layer: of a layer, the mean over chunks.
        shares: of a layer by its parts, for the last chunk.
    """

    cycles: float
    interval: float
    layer: float
    shares: dict[str, Cost]


def time_replay(replay: Replay, wafer: Wafer) -> PromptTime:
    """A region begins a chunk when it is done with the one before, and the region before with this one."""
    fixed, each = _costs(replay.layer, wafer), _costs(replay.attended, wafer)
    once, again = (sum(costs.values(), ZERO).cycles for costs in (fixed, each))
    entering = _entering(replay, wafer).cycles
    layers = [once + again * (replay.before + number + 1) for number in range(replay.chunks)]
    chunks = [tuple(entering + layer * count for count in replay.stages) for layer in layers]
    shares: dict[str, Cost] = defaultdict(lambda: ZERO)
    for name, cost in fixed.items():
        shares[name] += cost
    for name, cost in each.items():
        shares[name] += cost * (replay.before + replay.chunks)
    return PromptTime(piped(chunks), max(chunks[-1]), sum(layers) / len(layers), dict(shares))


def part_cycles(part: Part, wafer: Wafer) -> float:
    """A part once, in cycles."""
    return _cost(part, wafer).cycles


def _costs(parts: tuple[Part, ...], wafer: Wafer) -> dict[str, Cost]:
    found: dict[str, Cost] = defaultdict(lambda: ZERO)
    for part in parts:
        found[part.name] += _cost(part, wafer) * part.times
    return found


def _cost(part: Part, wafer: Wafer) -> Cost:
    worked = sum((_work(work, wafer) for work in part.works), ZERO)
    return worked + sum((_joined(each, wafer) for each in part.sums), ZERO)


def _work(work: Work, wafer: Wafer) -> Cost:
    tasks = Cost(overhead=work.tasks * wafer.core.local_task_cycles.value)
    cost = local_cost(wafer.core, work)
    return tasks + (cost if work.ring is None else ring_cost(wafer, work.ring, cost))


def _joined(each: Joined, wafer: Wafer) -> Cost:
    link = wafer.link
    count = lines.wavelets(link, each.size_bytes)
    cost = lines.entry(link) + lines.slice_cost(link, each.tree, 0, count)
    if not each.shared:
        return cost
    root = roots(each.tree)[0]
    farthest = max(root, each.tree.span - 1 - root)
    return cost + lines.dispatch(link) + lines.payload(link, count) + lines.arrival(link, farthest)


def _entering(replay: Replay, wafer: Wafer) -> Cost:
    """From region to region, on all rows at once."""
    link = wafer.link
    return (
        lines.dispatch(link)
        + lines.payload(link, lines.wavelets(link, replay.entering))
        + lines.arrival(link, replay.side)
    )
