"""Square grids of the published WaferLLM mapping: sizes padded to them, groups, and the one that is fastest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, sqrt

from undiced.compiler.wafer.asked import with_layers
from undiced.compiler.wafer.published.asked import Asked
from undiced.compiler.wafer.published.groups import check_groups
from undiced.compiler.wafer.published.waferllm import layer_cycles, prompt_cycles
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.wafer import Wafer
from undiced.model import ModelConfig, build_config
from undiced.program import Bounds

_GROUPS = {240: 15, 256: 16, 300: 15, 360: 18, 420: 20, 480: 20, 512: 32, 540: 20, 600: 24, 660: 22, 720: 24}
_TIMED = 16  # sides that are timed, the most promising by estimate
_SHARES, _SMALLEST = 64, 8  # of a core; of the mesh's shorter side
_COLLECTIVES = 10  # of a layer


@dataclass(frozen=True, slots=True)
class Square:
    """A square of `side` cores a side, and the two-tree's groups."""

    side: int
    groups: int

    def __post_init__(self) -> None:
        if self.side < 2:
            raise CompileError("A region of one core has nobody to reduce with.", remedy="Use 2x2 or more.")
        if self.groups > self.side:
            raise CompileError(
                f"A side of {self.side} cores has no {self.groups} groups.",
                remedy=f"Use at most {option('groups', self.side)}.",
            )
        check_groups(self.groups, self.side, self.side)


def square(width: int, height: int, groups: int | None) -> Square:
    """The square of a region.

    Raises:
        CompileError: it is none, or can't be split into the groups.
    """
    if width != height:
        raise CompileError("The waferllm mapping needs a square region.", remedy=f"Use {width}x{width}.")
    return Square(width, groups or default_groups(width))


def one_head(config: ModelConfig, side: int) -> ModelConfig:
    """The benchmark's shape: one head and one KV head of the whole width, sizes padded up to the grid."""
    dim, ffn = (ceil(size / side) * side for size in (config.dim, config.ffn))
    width = dim + dim % 2  # pairs are rotated
    rope = config.rope
    if rope is not None:
        scaling = "none" if rope.scaling == "longrope" else rope.scaling  # its factors are of a head's pairs
        rope = replace(rope, dims=width, offset=0, scaling=scaling, short_factors=(), long_factors=())
    sizes = replace(config, dim=dim, ffn=ffn, heads=1, kv_heads=1, head_dim=width, rope=rope, moe=None, mla=None)
    return replace(sizes, qk_norm="none")


def default_groups(side: int) -> int:
    """The published group count of a grid, or the divisor nearest to the square root."""
    if side in _GROUPS:
        return _GROUPS[side]
    divisors = [g for g in range(1, side + 1) if side % g == 0]
    return min(divisors, key=lambda g: abs(g * g - side))


@lru_cache(maxsize=64)
def best_square(config: ModelConfig, wafer: Wafer, context: int, groups: int | None) -> Square:
    """Of the most promising sides, and their divisors, the square on which the published decode layer is fastest."""
    largest = min(wafer.mesh.size)
    sides = [side for side in range(min(largest, 2), largest + 1) if not groups or side % groups == 0]
    sides = sorted(sides, key=lambda side: _estimate(config, wafer, side, context))[:_TIMED]
    found = [(cycles, each) for side in sides for each, cycles in _timed(config, wafer, side, context, groups)]
    if not found:
        raise CompileError(
            f"No square grid of {wafer.name} has {groups} groups.",
            remedy=f"Use at most {option('groups', largest)}, or leave it out.",
        )
    return min(found, key=lambda each: each[0])[1]


@lru_cache(maxsize=64)
def best_prompt_square(config: ModelConfig, wafer: Wafer, tokens: int) -> Square:
    """Of the sides at which a core's share of the hidden state just shrinks, the one whose prefill takes least."""
    largest = min(wafer.mesh.size)
    sides = {min(largest, ceil(config.dim / share)) for share in range(1, _SHARES)}
    sides = {side for side in sides if side >= max(2, largest // _SMALLEST)}
    return Square(min(sides or {largest}, key=lambda side: _prompt_cycles(config, wafer, side, tokens)), 1)


def _prompt_cycles(config: ModelConfig, wafer: Wafer, side: int, tokens: int) -> float:
    graph = build_config(one_head(with_layers(config, 1), side))
    return prompt_cycles(Asked(graph, wafer, side, side, 1, Bounds(1, tokens)))


def _timed(
    config: ModelConfig, wafer: Wafer, side: int, context: int, groups: int | None
) -> Iterator[tuple[Square, float]]:
    graph = build_config(one_head(config, side))
    counts = (groups,) if groups else _divisors(side)
    asked = Asked(graph, wafer, side, side, counts[0], Bounds(1, context))
    yield from ((Square(side, count), cycles) for count, cycles in layer_cycles(asked, counts))


def _divisors(side: int) -> tuple[int, ...]:
    """Divisors near the square root: two-trees with very few or very many groups are never best."""
    return tuple(g for g in range(1, side + 1) if side % g == 0 and side / 4 <= g * g <= side * 4) or (1,)


def _estimate(config: ModelConfig, wafer: Wafer, side: int, context: int) -> float:
    """A layer roughly: distance and dependent steps of its collectives, set-ups and lanes of its products, calls."""
    core, link = wafer.core, wafer.link
    d, f = ceil(config.dim / side), ceil(config.ffn / side)
    step = 2 * link.ramp_cycles.value + 1 + link.step_software_cycles.value
    moving = _COLLECTIVES * (side * link.hop_cycles.value + sqrt(side) * step)
    calls = 2 * d + ceil(context / side)  # of the activation and of the softmax
    operations = 6 * d + f
    elements = 4 * d * d + 3 * d * f
    working = operations * core.vector_setup_cycles.value + elements / core.lanes_16bit.value
    return moving + working + calls * core.transcendental_cycles.value
