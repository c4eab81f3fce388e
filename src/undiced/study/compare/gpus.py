"""The side of the GPUs: groups of each kind as rooflines, with every number of sequences that fits."""

from __future__ import annotations

from collections.abc import Iterator

from undiced.machine.gpu import find_gpu
from undiced.machine.interval import Interval
from undiced.model import Graph
from undiced.study.compare.asked import BITS, Asked
from undiced.study.compare.point import Point, Way
from undiced.study.compare.wafers import Missing, powers
from undiced.study.gpu_group import Group


def gpu_points(asked: Asked, graph: Graph) -> tuple[list[Point], list[Missing]]:
    """Every group that holds the model; and those that do not."""
    found: list[Point] = []
    missing: list[Missing] = []
    for name in asked.gpus:
        for count in asked.counts:
            group = Group(find_gpu(name), count, graph, BITS[asked.weights])
            points = list(_points(asked, group))
            found += points
            if not points:
                missing.append(Missing(group.name, _why(group, asked)))
    return found, missing


def _points(asked: Asked, group: Group) -> Iterator[Point]:
    way = Way("gpus", group.name, "", group.gpu.name, group.power_w, group.price_usd)
    most = group.most(asked.context)
    first = Interval.of(group.prompt_s(asked.context))
    for sequences in asked.batches or (powers(most) if most else ()):
        if sequences <= most:
            speed = 1 / group.token_s(sequences, asked.context)
            best = 1 / group.least_token_s(sequences, asked.context)
            yield Point(way, sequences, Interval.of(speed), Interval.of(speed * sequences), first, best)


def _why(group: Group, asked: Asked) -> str:
    """What does not fit into its memory."""
    least = min(asked.batches, default=1)
    return f"no room for the weights and {least} x {asked.context:,} positions"
