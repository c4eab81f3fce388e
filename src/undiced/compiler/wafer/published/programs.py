"""Programs of the published mappings: regions and streams, ready for the simulators. Knows both mappings' layouts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from math import ceil

from undiced.compiler.wafer.place import Tiling, check_region
from undiced.compiler.wafer.published import waferengine, waferllm
from undiced.core.errors import CompileError
from undiced.machine.region import RegionParams, Role
from undiced.machine.wafer import Wafer
from undiced.model import ModelConfig
from undiced.program import Bounds, Program, Rect, Region, Stream


@dataclass(frozen=True, slots=True)
class Side:
    """A region's sides, x by y."""

    width: int
    height: int


def waferllm_decode(config: ModelConfig, wafer: Wafer, grid: waferllm.Grid, context: int) -> Program:
    """The whole model, one layer at a time, on one square; the published benchmark holds one layer only."""
    check_region(wafer, grid.side, grid.side)
    padded = waferllm.one_head(config, grid.side)
    stream = waferllm.decode_layer(padded.dim, padded.ffn, grid)
    return _waferllm_program(padded, wafer, grid, Bounds(1, context), stream)


def waferllm_prefill(config: ModelConfig, wafer: Wafer, grid: waferllm.Grid, tokens: int) -> Program:
    """A prompt of `tokens`, one layer at a time."""
    check_region(wafer, grid.side, grid.side)
    padded = waferllm.one_head(config, grid.side)
    tile = waferllm.Tile(ceil(tokens / grid.side), padded.dim // grid.side, padded.ffn // grid.side)
    return _waferllm_program(padded, wafer, grid, Bounds(1, tokens), waferllm.prefill_layer(tile, grid))


def _waferllm_program(
    config: ModelConfig, wafer: Wafer, grid: waferllm.Grid, bounds: Bounds, stream: Stream
) -> Program:
    params = RegionParams(Role.LAYERS, 0, config.layers, grid.side)
    region = Region(Rect(0, 0, grid.side, grid.side), params=params.pack(), name="layers")
    d, f = config.dim // grid.side, config.ffn // grid.side
    memory = Memory(
        weights=_layer_parameters(config) * waferllm.BYTES / grid.side**2,
        position=2 * d * waferllm.BYTES,
        buffers=waferllm.buffer_bytes(d, f),
        score=waferllm.SCORE_BYTES,
        layers=config.layers,
        resident=1,
    )
    return _program(config, wafer, bounds, (region,), (stream,), memory.facts(wafer, bounds.context, grid.side))


def _program(
    config: ModelConfig,
    wafer: Wafer,
    bounds: Bounds,
    regions: tuple[Region, ...],
    streams: tuple[Stream, ...],
    facts: tuple[tuple[str, float], ...],
) -> Program:
    """Regions and streams of a model's sizes; their digest stands for the graph, which there is none of."""
    return Program(
        model=config.name,
        machine=wafer.name,
        graph_digest=hashlib.sha256(repr(config).encode()).hexdigest(),
        machine_digest=wafer.digest,
        bounds=bounds,
        regions=regions,
        streams=streams,
        vocab=config.vocab,
        facts=facts,
    )


def _layer_parameters(config: ModelConfig) -> int:
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim
    return attention + 3 * config.dim * config.ffn


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the fullest core.

    Attributes:
        weights, position: of one layer, and of one layer's keys and values of a position.
        buffers, score: shared by all layers, and what they add for each position.
        layers: of the whole model (or stage); resident: how many the benchmark held.
    """

    weights: float
    position: float
    buffers: float
    score: float
    layers: int
    resident: int

    def facts(self, wafer: Wafer, context: int, rows: int) -> tuple[tuple[str, float], ...]:
        """For reports: with all layers, with those resident, and the longest context that these leave room for."""
        sram, code = wafer.core.sram_bytes.value, wafer.core.code_bytes.value
        positions = ceil(context / rows)

        def used(layers: int) -> float:
            return code + self.buffers + layers * self.weights + positions * (layers * self.position + self.score)

        free = sram - code - self.buffers - self.resident * self.weights
        longest = max(0, int(free / (self.resident * self.position + self.score))) * rows
        return (
            ("sram_bytes_max_per_core", float(used(self.layers))),
            ("sram_bytes_resident_per_core", float(used(self.resident))),
            ("max_context_tokens", float(longest)),
            ("fits", float(used(self.layers) <= sram)),
        )


def waferengine_decode(
    config: ModelConfig, wafer: Wafer, side: Side, groups: int, stages: tuple[int, ...], context: int
) -> Program:
    """A pipeline of regions of equal size, `stages` layers each, with bands for embedding and lm_head.

    Raises:
        CompileError: stages that do not add up to the model's layers, or regions that do not fit the mesh.
    """
    if sum(stages) != config.layers or min(stages, default=0) < 1:
        raise CompileError(
            f"Stages {','.join(map(str, stages))} hold {sum(stages)} layers; {config.name} has {config.layers}.",
            remedy="Give one positive number a region, adding up to the layers.",
        )
    check_region(wafer, side.width, side.height)
    shard = waferengine.Shard.of(config, side.width, side.height, groups)
    streams = (
        waferengine.embed(shard),
        waferengine.enter(shard),
        waferengine.decode_layer(config, shard),
        waferengine.head(config, shard, _band(wafer, side)),
    )
    regions = _snake(wafer, side, stages)
    memory = Memory(
        weights=_layer_parameters(config) * waferengine.WEIGHT_BYTES / (side.width * side.height),
        position=2 * shard.k * waferengine.WEIGHT_BYTES,
        buffers=waferengine.WIRE_BYTES * (4 * shard.d + 2 * (shard.q + 2 * shard.k) + 3 * shard.f),
        score=2 * shard.group * waferengine.WIRE_BYTES,
        layers=max(stages),
        resident=max(stages),
    )
    return _program(config, wafer, Bounds(1, context), regions, streams, memory.facts(wafer, context, side.height))


def _band(wafer: Wafer, side: Side) -> int:
    """Columns of the bands of embedding and head: as published where the mesh has room for them beside a region."""
    beside = wafer.mesh.size[0] >= waferengine.BAND_WIDTH + side.width
    return waferengine.BAND_WIDTH if beside else min(waferengine.BAND_WIDTH, side.width)


def _snake(wafer: Wafer, side: Side, stages: tuple[int, ...]) -> tuple[Region, ...]:
    """Regions row by row, direction alternating, consecutive ones touching; embedding and head in bands beside.

    Where the mesh has no room for bands they lie over the first and last region.
    """
    mesh_width, mesh_height = wafer.mesh.size
    band = _band(wafer, side)
    room = (mesh_width - band) // side.width
    across = room or mesh_width // side.width
    tiling = Tiling(side.width, side.height, across, mesh_height // side.height)
    chip, last = tiling.place(len(stages) - 1)
    first = tiling.place(0)[1]
    if room:
        beside = Rect(across * side.width, 0, band, side.height)
        first, last = beside, replace(beside, y=last.y if last.y else min(side.height, mesh_height - side.height))
    regions = [_region(0, Role.EMBED, 1, first, 0, 0, side)]
    layer = 0
    for index, layers in enumerate(stages):
        where, rect = tiling.place(index)
        regions.append(_region(1, Role.ENTER, 1, rect, where, layer, side))
        regions.append(_region(2, Role.LAYERS, layers, rect, where, layer, side))
        layer += layers
    regions.append(_region(3, Role.HEAD, 1, last, chip, -1, side))
    return tuple(regions)


def _region(code: int, role: Role, repeats: int, rect: Rect, chip: int, layer: int, side: Side) -> Region:
    params = RegionParams(role, layer, repeats, side.height)
    name = role.name.lower() if layer < 0 else f"{role.name.lower()} {layer}"
    return Region(rect, code=code, params=params.pack(), wafer=chip, name=name)
