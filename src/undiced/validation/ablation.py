"""From the published baseline to our mapping, one step at a time, on one padded one-head shape without lm_head.

Every step is timed by the same closed forms and parameters, on the baseline's best grid but for the last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from undiced.compiler.wafer.build import best_grid
from undiced.compiler.wafer.compile import compile_wafer
from undiced.compiler.wafer.dims import Dims, one_head
from undiced.compiler.wafer.layer import LayerWriter
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.resolve import dims_of
from undiced.compiler.wafer.route import route_streams
from undiced.compiler.wafer.scheme import Scheme
from undiced.compiler.wafer.shard import Shard
from undiced.compiler.wafer.waferllm import Grid, decode_layer
from undiced.machine.cost import CostModel
from undiced.machine.instruction import Load, stream_costs
from undiced.machine.region import unpack
from undiced.machine.wafer import Wafer
from undiced.program import Bounds, Stream

_PLAIN = Scheme(
    wire="fp16",
    accumulator="fp16",
    first_writes=False,
    fuse_weights=False,
    fuse_norms=False,
    norms_ahead=False,
    fuse_softmax=False,
    plain_softmax=False,
    vector_math=False,
    half_silu=False,
    overlap=False,
    early=False,
    one_multicast=False,
    levels=False,
    slices=0,
    slice_rows=False,
    band_slices=0,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A stream, how often it runs for a token, and the KV positions that its fullest core holds."""

    stream: Stream
    runs: int
    positions: int


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: what changed, where, and what runs in each token of a model of `layers`."""

    what: str
    region: tuple[int, int]
    parts: tuple[Part, ...]
    layers: int

    def cycles_per_layer(self, costs: CostModel) -> float:
        """Under `costs`, whatever the trees were searched with."""
        return sum(part.runs * _cycles(costs, part) for part in self.parts) / self.layers


def _cycles(costs: CostModel, part: Part) -> float:
    return sum(cost.cycles for _, cost in stream_costs(costs, part.stream.instrs, Load(positions=part.positions)))


def ladder(model: object, wafer: Wafer, context: int = 4096) -> list[Rung]:
    """The ablation of `model`'s padded one-head shape, from the baseline to the whole of our mapping."""
    grid = best_grid(dims_of(model), wafer, context, None)
    padded, side = one_head(dims_of(model), grid.side), (grid.side, grid.side)
    what = f"waferllm at its best grid, {grid.groups} groups"
    published = Part(decode_layer(padded.dim, padded.ffn, grid), 1, ceil(context / grid.side))
    costs = CostModel.of(wafer)
    steps = [Rung(what, side, _on_grid(costs, padded, grid, scheme, context), 1) for what, scheme in _steps()]
    return [Rung(what, side, (published,), 1), *steps, _searched(padded, wafer, context, _steps()[-1][1])]


def _searched(padded: Dims, wafer: Wafer, context: int, scheme: Scheme) -> Rung:
    program = compile_wafer(padded, wafer, Options(bounds=Bounds(1, context), scheme=scheme, embedding="none"))
    parts = []
    for region in program.regions:
        params = unpack(region.params)
        positions = max(1, ceil(context / params.kv_rows))
        parts.append(Part(program.streams[region.code], params.repeats, positions))
    rect = program.regions[0].rect
    what = "region shape and layers a region searched, all layers resident"
    return Rung(what, (rect.width, rect.height), tuple(parts), padded.layers)


def _steps() -> list[tuple[str, Scheme]]:
    scheme = _PLAIN
    out = [("the activation over all ffn / P elements, which the benchmark leaves out", scheme)]
    for what, change in (
        ("transcendentals as vector operations", {"vector_math": True}),
        ("q, k, v and up, gate as one tile each: an operation per input", {"fuse_weights": True}),
        ("the norms' sums ride on the products they feed", {"fuse_norms": True}),
        ("the softmax's sum rides on the values", {"fuse_softmax": True}),
        ("softmax and values run while the maximum travels", {"overlap": True}),
        ("results return by one send both ways", {"one_multicast": True}),
        ("level trees of chains and stars, searched", {"levels": True}),
        ("up and gate summed in three slices, activated at the roots", {"slices": 3}),
        (
            "all sums along rows in slices, worked on at the roots; products start with the first to arrive",
            {"slice_rows": True, "early": True},
        ),
        ("the norms' sums go ahead of the products", {"norms_ahead": True}),
        ("first products written instead of added to zeros", {"first_writes": True}),
        ("the activation in 16 bits", {"half_silu": True}),
        ("exponentials without a maximum, in 32 bits", {"wire": "mixed", "plain_softmax": True}),
    ):
        scheme = replace(scheme, **change)
        out.append((what, scheme))
    return out


def _on_grid(costs: CostModel, padded: Dims, grid: Grid, scheme: Scheme, context: int) -> tuple[Part, ...]:
    shard = Shard.of(padded, grid.side, grid.side)
    positions = shard.positions(context)
    writer = LayerWriter(shard, scheme, costs, positions)
    routed = route_streams((writer.attention(), writer.dense_ffn()), scheme, costs, positions, 21, {})
    assert routed is not None, "an ablation takes colors away, never more than there are"
    return tuple(Part(stream, 1, positions) for stream in routed[0])
