"""From what a command asks for to what our mapping compiles: options by name, models with other layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from undiced.compiler.wafer.lower.choices import LEAN, Choices
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.core.formats import FORMATS
from undiced.core.mapping import MappingOptions, Objective, Weights, require_choice
from undiced.model import Graph, ModelConfig
from undiced.program import Bounds
from undiced.program.wafer.value import DType

WEIGHTS: dict[Weights, DType] = {
    "fp16": DType.F16,
    "int8": DType.I8,
    "fp8": DType.F8,
    "int4": DType.I4,
}
_INT8_BITS, _INT4_BITS = 16, 5  # fewer stored bits than this a weight
_ARRANGED: dict[str, Weights] = {"INT4_32": "int4", "FP8_32": "fp8", "FP8_128": "fp8"}  # by name, not by size


def options_of(asked: MappingOptions) -> Options:
    """What our mapping takes.

    Raises:
        CompileError: options of published mappings, an unknown objective or number format.
    """
    if asked.groups is not None or asked.stages is not None:
        raise CompileError("The undiced mapping chooses groups and stages itself.", remedy="Leave them out.")
    complaint = f"There is no objective called {asked.objective[:40]!r}."
    require_choice(asked.objective, Objective, complaint)
    chunk = asked.chunk or 1
    prompts = asked.phase == "prefill" and chunk > 1
    return Options(
        bounds=Bounds(asked.batch, asked.room),
        wafers=asked.wafers,
        choices=choices_of(asked.scheme),
        objective="interval" if asked.objective == "interval" or prompts else "latency",
        lanes=asked.lockstep or 1,
        chunk=chunk,
        phase="prefill" if prompts else "decode",
        alone=asked.apart,
        region=None if asked.region == "auto" else asked.region,
        code_bytes=asked.code_bytes,
        ahead_of_products=asked.fill is not False,
        filled=asked.objective == "latency" and not asked.frontier if asked.fill is None else asked.fill,
        frontier=asked.frontier,
    )


def choices_of(scheme: object) -> Choices:
    """Number formats by name: weights (fp16, int8, fp8, int4), sums (16 or 32 bits).

    Raises:
        CompileError: a format that no core multiplies.
    """
    assert hasattr(scheme, "get")
    weights, bits = str(scheme.get("weights", "fp16")), scheme.get("sum_bits", 16)
    if weights not in WEIGHTS:
        raise CompileError(f"There are no {weights[:40]!r} weights.", remedy="Use fp16, int8, fp8 or int4.")
    wide = bits == 32
    return replace(LEAN, weights=WEIGHTS[weights], sums=DType.F32 if wide else DType.F16, wire="f32" if wide else "f16")


def weights_of(graph: Graph) -> str:
    """The format nearest to what most of the graph's weights are stored in."""
    counts: Counter[str] = Counter()
    for slot in graph.slots:
        form = FORMATS[slot.format]
        bits = 8 * form.block_bytes / form.block
        by_size = "fp16" if bits >= _INT8_BITS else "int8" if bits > _INT4_BITS else "int4"
        counts[_ARRANGED.get(slot.format, by_size)] += slot.rows * slot.columns
    return counts.most_common(1)[0][0]


def with_layers(config: ModelConfig, layers: int | None) -> ModelConfig:
    """The model with its first layers alone, or its first ones repeated."""
    if layers is None:
        return config
    at = [n % config.layers for n in range(layers)]
    moe = config.moe
    if moe is not None:
        moe = replace(moe, layers=tuple(n for n, old in enumerate(at) if old in moe.layers))
    rope = config.rope
    if rope is not None:
        rope = replace(rope, skip_layers=tuple(n for n, old in enumerate(at) if old in rope.skip_layers))
    windows = tuple(config.windows[old] for old in at) if config.windows else ()
    return replace(config, layers=layers, moe=moe, rope=rope, windows=windows)
