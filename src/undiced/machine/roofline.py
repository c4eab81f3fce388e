"""What a step takes on GPUs that share every layer out: memory or arithmetic, the slower of both, and sums between.

Plain numbers of a model in, draws of everything assumed out. Knows no model and no wafer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from undiced.machine.gpu import SERVER, Gpu
from undiced.machine.ranges import Assumed, draws

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

DRAWS = 512
_SUMS = 2  # of a layer: behind attention and behind the feed-forward block
_VALUE_BYTES = 2  # of a hidden state's element between GPUs


@dataclass(frozen=True, slots=True)
class Demand:
    """A step of a model, without any machine.

    Attributes:
        resident_bytes: weights that must be held; read_bytes: of them, what the step reads; cache_bytes: keys and
            values that it reads, of all its sequences; held_bytes: that must be held.
        tokens: in the step. flops: of it. eight: whether products are of 8 bits.
    """

    resident_bytes: float
    read_bytes: float
    cache_bytes: float
    held_bytes: float
    flops: float
    tokens: int
    layers: int
    hidden: int
    eight: bool = False


def fits(gpu: Gpu, count: int, demand: Demand) -> bool:
    """Whether so many GPUs hold the weights and all keys and values."""
    room = gpu.memory_bytes.value * gpu.memory_share.value * count
    return demand.resident_bytes + demand.held_bytes <= room


def floor_s(gpu: Gpu, count: int, demand: Demand) -> float:
    """What nominal bandwidth and arithmetic alone take of a step: nothing can be faster."""
    memory = (demand.read_bytes + demand.cache_bytes) / (gpu.bytes_per_s.value * count)
    return max(memory, demand.flops / (_rate(gpu, demand) * count))


def step_s(gpu: Gpu, count: int, demand: Demand) -> Numbers:
    """Draws of a step's seconds on `count` GPUs."""
    import numpy as np

    found = gpu_draws(gpu)
    memory = (demand.read_bytes + demand.cache_bytes) / (gpu.bytes_per_s.value * count * found["bandwidth_share"])
    arithmetic = demand.flops / (_rate(gpu, demand) * count * found["flops_share"])
    layers: Numbers = demand.layers * (found["layer_s"] + _SUMS * _sum_s(gpu, count, demand, found))
    return np.maximum(memory, arithmetic) + layers


@cache
def gpu_draws(gpu: Gpu) -> dict[str, Numbers]:
    """Every figure that is assumed, drawn at once; equal ones are drawn alike for every GPU."""
    import numpy as np

    ranged = tuple(Assumed(name, *each.span) for name, each in gpu.constants() if each.provenance == "assumed")
    drawn = list(draws(ranged, DRAWS))
    return {one.name: np.array([each[one.name] for each in drawn]) for one in ranged}


def _rate(gpu: Gpu, demand: Demand) -> float:
    return (gpu.flops_8bit if demand.eight else gpu.flops_16bit).value


def _sum_s(gpu: Gpu, count: int, demand: Demand, found: dict[str, Numbers]) -> Numbers:
    """A sum over all GPUs: latency, and every GPU sends and receives its share twice."""
    if count == 1:
        return found["sum_s"] * 0
    far = count > SERVER
    passed = 2 * (count - 1) / count * demand.tokens * demand.hidden * _VALUE_BYTES
    link = (gpu.network_bytes_per_s if far else gpu.link_bytes_per_s).value
    return found["far_sum_s" if far else "sum_s"] + passed / (link * found["link_share"])
