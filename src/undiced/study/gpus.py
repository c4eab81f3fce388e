"""Models on GPUs: a graph's step as the demand of a roofline, and published points beside what the roofline says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from undiced.machine.gpu import find_gpu
from undiced.machine.gpu_points import POINTS, Point
from undiced.machine.interval import Interval
from undiced.machine.roofline import Demand, floor_s, step_s
from undiced.model import Graph, build_config, preset
from undiced.model.node import Load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_STORED_BITS, _CACHED_BITS = 16, 8


def demand(
    graph: Graph, *, batch: int, context: float, held: int | None = None, bits: int = 16, tokens: int = 1
) -> Demand:
    """A step of `batch` sequences with so many new tokens each, at a mean context; `held`: positions of each.

    Weights and cached numbers of `bits`, the latter of 8 at least.
    """
    config = graph.config
    load = Load(batch * tokens, context, batch, value_bytes=0, kv_bytes=0)
    cached = Load(batch * tokens, context, batch, value_bytes=0, kv_bytes=1)
    full = Load(batch, float(held or context), batch, value_bytes=0, kv_bytes=1)
    weights, number = graph.bytes(load), max(bits, _CACHED_BITS) / 8
    return Demand(
        resident_bytes=graph.weight_bytes * bits / _STORED_BITS,
        read_bytes=weights * bits / _STORED_BITS,
        cache_bytes=(graph.bytes(cached) - weights) * number,
        held_bytes=(graph.bytes(full) - graph.bytes(Load(batch, 1.0, batch, value_bytes=0, kv_bytes=0))) * number,
        flops=graph.flops(load),
        tokens=batch * tokens,
        layers=config.layers,
        hidden=config.dim,
        eight=bits == 8,
    )


@dataclass(frozen=True, slots=True)
class Beside:
    """A measured point, what the roofline's draws say of it, and what nominal figures allow at best."""

    point: Point
    simulated: Interval
    best: float

    @property
    def inside(self) -> bool:
        """Whether it lies within the draws, or is a bound that they keep."""
        low, high = self.simulated.low, self.simulated.high
        return low <= self.point.value if self.point.at_most else low <= self.point.value <= high

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        point = self.point
        names = (
            "gpu",
            "count",
            "model",
            "batch",
            "prompt",
            "answer",
            "bits",
            "measure",
            "source",
            "at_most",
            "drafted",
        )
        return {
            **{name: getattr(point, name) for name in names},
            "measured": point.value,
            "roofline": self.simulated.as_dict(),
            "floor": self.best,
            "inside": None if point.drafted else self.inside,
        }


def beside() -> list[Beside]:
    """Every published point."""
    return [_beside(point) for point in POINTS]


@cache
def _graph(name: str) -> Graph:
    return build_config(preset(name))


def _beside(point: Point) -> Beside:
    gpu, graph = find_gpu(point.gpu), _graph(point.model)
    mean = point.prompt + (point.answer + 1) / 2
    decode = demand(graph, batch=point.batch, context=mean, bits=point.bits)
    prompt = demand(graph, batch=point.batch, context=(point.prompt + 1) / 2, bits=point.bits, tokens=point.prompt)
    steps = point.answer - 1
    each, first = step_s(gpu, point.count, decode), step_s(gpu, point.count, prompt)
    least = floor_s(gpu, point.count, decode), floor_s(gpu, point.count, prompt)
    match point.measure:
        case "token_s":
            found, best = each, least[0]
        case "first_token_s":
            found, best = first, least[1]
        case "whole_s":
            found, best = each * steps + first, least[0] * steps + least[1]
        case "user_tokens_per_second":
            found, best = 1 / each, 1 / least[0]
        case _:
            made = point.batch * point.answer
            found, best = made / (each * steps + first), made / (least[0] * steps + least[1])
    return Beside(point, Interval.of(found), best)
