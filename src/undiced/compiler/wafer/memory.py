"""Memory: what a model needs on the fullest core of a shape, and what a core has. Knows no time."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from undiced.compiler.wafer.layer import PARTS
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.partition import Block
from undiced.compiler.wafer.shard import Shard
from undiced.machine.wafer import Wafer

_NORM_BYTES = 2
_VOCABULARY_BYTES = 2


def capacity(wafer: Wafer, shard: Shard, options: Options) -> int:
    """Bytes a core has for weights and KV, beside code and buffers."""
    core = wafer.core
    code = core.lean_code_bytes.value if options.lean else core.code_bytes.value
    code = min(code, core.sram_bytes.value / 2)  # machines with little memory run little code
    buffers = shard.buffer_bytes(options.scheme, options.bounds.context, options.bounds.batch)
    return int(core.sram_bytes.value - code) - buffers


def attention_bytes(shard: Shard, options: Options) -> int:
    """Weights, norms and KV of one layer's attention on the fullest core."""
    weights = ceil(shard.attention_weights() * options.scheme.weight_bits / 8)
    kv = shard.kv_bytes(options.scheme, options.bounds.context, options.bounds.batch)
    return weights + kv + 2 * shard.d * _NORM_BYTES


def free_attention_bytes(shard: Shard, options: Options) -> int:
    """What a layer's attention takes on a core without heads: its norms; as on any where all cores hold heads."""
    return 2 * shard.d * _NORM_BYTES if shard.free_columns() else attention_bytes(shard, options)


def part_bytes(shard: Shard, options: Options, layer: int, free: bool = False) -> int:
    """A part (one of `PARTS`) of a layer's feed-forward weights on a core beside attention (or free of it)."""
    return ceil(shard.ffn_weights(layer, free) * options.scheme.weight_bits / 8 / PARTS)


def vocabulary_bytes(shard: Shard) -> int:
    """One embedding or lm_head matrix on the fullest core."""
    return shard.d * shard.vocab * _VOCABULARY_BYTES


def total_bytes(shard: Shard, options: Options) -> int:
    """Everything, were one region to hold it all: the bound that rejects shapes before they are written."""
    dims = shard.dims
    dense = dims.layers if dims.experts is None else dims.experts.dense_layers
    vocabularies = {"wafer": 2, "host": 1, "none": 0}[options.embedding]
    total = dims.layers * attention_bytes(shard, options) + vocabularies * vocabulary_bytes(shard)
    total += PARTS * dense * (part_bytes(shard, options, 0) if dense else 0)
    if dense < dims.layers:
        total += PARTS * (dims.layers - dense) * part_bytes(shard, options, dims.layers - 1)
    return total


def fits(shard: Shard, options: Options, room: int, regions: int) -> bool:
    """Whether `regions` regions of `room` bytes per core hold the model, filled in order: a quick check."""
    dims = shard.dims
    vocabulary, attention = vocabulary_bytes(shard), attention_bytes(shard, options)
    dense = dims.layers if dims.experts is None else dims.experts.dense_layers
    first = _part_sizes(shard, options, 0) if dense else (0, 0)
    last = _part_sizes(shard, options, dims.layers - 1)
    attends = attention, free_attention_bytes(shard, options)
    if max(vocabulary, *attends, *first, *last) > room:
        return False
    used = free = vocabulary if options.embedding == "wafer" else 0
    count = 1
    for layer in range(dims.layers):
        part = first if layer < dense else last
        for (size, spare), times in ((attends, 1), (part, PARTS)):
            more = _copies(times, (room - used, size), (room - free, spare))
            used, free = used + more * size, free + more * spare
            while more < times:
                again = _copies(times - more, (room, size), (room, spare))
                used, free, count, more = again * size, again * spare, count + 1, more + again
        if count > regions:
            return False
    head = 0 if options.embedding == "none" else vocabulary
    return count + (max(used, free) + head > room) <= regions


def _copies(most: int, *rooms: tuple[int, int]) -> int:
    """How many times, at most `most`, each size of (room, size) fits into its room; some cores have nothing to hold."""
    return min(most, *(room // size if size else most for room, size in rooms))


def _part_sizes(shard: Shard, options: Options, layer: int) -> tuple[int, int]:
    return part_bytes(shard, options, layer), part_bytes(shard, options, layer, free=True)


def blocks_of(shard: Shard, options: Options, cycles: Mapping[str, float]) -> tuple[Block, ...]:
    """The model in order, with bytes a core and the cycles of each stream."""
    dims = shard.dims
    vocabulary = vocabulary_bytes(shard)
    attention = attention_bytes(shard, options)
    spare = free_attention_bytes(shard, options)
    out = []
    if options.embedding == "wafer":
        out.append(Block("embed", -1, vocabulary, cycles["embed"]))
    elif options.embedding == "host":
        out.append(Block("embed", -1, 0, cycles["embed"]))
    for layer in range(dims.layers):
        kind = "experts" if dims.experts is not None and layer >= dims.experts.dense_layers else "ffn"
        own, free = _part_sizes(shard, options, layer)
        part = Block(kind, layer, own, cycles[kind] / PARTS, free)
        out.append(Block("attention", layer, attention, cycles["attention"], spare))
        out += [part] * PARTS
    if options.embedding != "none":
        out.append(Block("head", -1, vocabulary, cycles["head"]))
    return tuple(out)
