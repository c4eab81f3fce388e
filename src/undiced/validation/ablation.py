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
from undiced.program import Bounds, Program, Stream

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
class Rung:
    """One step: what changed, where, and cycles per layer."""

    what: str
    region: tuple[int, int]
    cycles_per_layer: float


def ladder(model: object, wafer: Wafer, context: int = 4096, costs: CostModel | None = None) -> list[Rung]:
    """The ablation of `model`'s padded one-head shape; `costs` replaces the machine's parameters."""
    dims = dims_of(model)
    costs = costs or CostModel.of(wafer)
    grid = best_grid(dims, wafer, context, None)
    padded = one_head(dims, grid.side)
    rungs = [
        Rung(
            f"waferllm at its best grid, {grid.groups} groups",
            (grid.side, grid.side),
            _cycles(costs, (_baseline(padded, grid),), ceil(context / grid.side)),
        )
    ]
    for what, scheme in _steps():
        rungs.append(Rung(what, (grid.side, grid.side), _on_grid(costs, padded, grid, scheme, context)))
    program = compile_wafer(padded, wafer, Options(bounds=Bounds(1, context), scheme=scheme, embedding="none"))
    rect = program.regions[0].rect
    searched = _program_cycles(costs, program, context) / padded.layers
    rungs.append(
        Rung("region shape and layers a region searched, all layers resident", (rect.width, rect.height), searched)
    )
    return rungs


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


def _baseline(padded: Dims, grid: Grid) -> Stream:
    return decode_layer(padded.dim, padded.ffn, grid)


def _on_grid(costs: CostModel, padded: Dims, grid: Grid, scheme: Scheme, context: int) -> float:
    shard = Shard.of(padded, grid.side, grid.side)
    positions = shard.positions(context)
    writer = LayerWriter(shard, scheme, costs, positions)
    routed = route_streams((writer.attention(), writer.dense_ffn()), scheme, costs, positions, 21, {})
    assert routed is not None, "an ablation takes colors away, never more than there are"
    streams, _ = routed
    return _cycles(costs, streams, positions)


def _cycles(costs: CostModel, streams: tuple[Stream, ...], positions: int) -> float:
    load = Load(positions=positions)
    return sum(cost.cycles for stream in streams for _, cost in stream_costs(costs, stream.instrs, load))


def _program_cycles(costs: CostModel, program: Program, context: int) -> float:
    total = 0.0
    for region in program.regions:
        params = unpack(region.params)
        stream = program.streams[region.code]
        total += params.repeats * _cycles(costs, (stream,), max(1, ceil(context / params.kv_rows)))
    return total
