"""The published mappings, instruction by instruction where the sources say."""

import pytest

from undiced.compiler.wafer.published.build import best_grid, build_published, default_groups
from undiced.compiler.wafer.published.waferengine import Shard, decode_layer, head
from undiced.compiler.wafer.published.waferllm import Grid, Tile, one_head, prefill_layer
from undiced.compiler.wafer.published.waferllm import decode_layer as waferllm_layer
from undiced.core.errors import CompileError, ModelNotFoundError
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.model import preset
from undiced.program import Op

QWEN = preset("qwen3-1.7b")


def collectives(stream):
    return [(i.note, *i.p[:2]) for i in stream.instrs if i.op is Op.ALLREDUCE]


@pytest.mark.parametrize(
    ("grid", "dim", "ffn"), [(360, 4320, 14400), (420, 4200, 14700), (512, 4096, 14336), (660, 4620, 14520)]
)
def test_8b_padding_is_the_published_one(grid, dim, ffn):
    padded = one_head(preset("llama-3-8b"), grid)
    assert (padded.dim, padded.ffn, padded.heads, padded.head_dim) == (dim, ffn, 1, dim)


@pytest.mark.parametrize(("grid", "dim", "ffn"), [(420, 8400, 29820), (660, 8580, 29700), (720, 8640, 30240)])
def test_72b_padding_is_the_published_one(grid, dim, ffn):
    padded = one_head(preset("qwen2-72b"), grid)
    assert (padded.dim, padded.ffn) == (dim, ffn)


def test_waferllm_layer_makes_ten_allreduces():
    stream = waferllm_layer(4200, 14700, Grid(420, 20))
    assert collectives(stream) == [
        ("attention norm", 1, 1),
        ("q, k, v", 1, 30),
        ("scores", 0, 1),
        ("softmax max", 1, 1),
        ("softmax sum", 1, 1),
        ("values", 1, 10),
        ("o", 0, 10),
        ("ffn norm", 1, 1),
        ("up, gate", 1, 70),
        ("down", 0, 10),
    ]
    silu = [i for i in stream.instrs if i.note == "silu"]
    assert silu[0].p[1] == 10  # over dim / P elements, as published


def test_waferllm_prefill_runs_p_steps_a_gemm():
    stream = prefill_layer(Tile(9, 9, 30), Grid(480, 20))
    steps = [i.param("steps") for i in stream.instrs if i.op is Op.SHIFT]
    assert steps.count(480) == 2 * 8 + 1  # eight products shift both tiles, the scores only the keys
    assert steps.count(240) == 5


def test_waferengine_layer_makes_eleven_collectives():
    stream = decode_layer(QWEN, Shard.of(QWEN, 256, 256, 16))
    assert [(note, elements) for note, _, elements in collectives(stream)] == [
        ("attention norm", 1),
        ("q, k, v", 16),
        ("qk norm", 3),
        ("scores", 2),
        ("softmax max", 2),
        ("softmax sum", 2),
        ("values", 8),
        ("o", 8),
        ("ffn norm", 1),
        ("up, gate", 48),
        ("down", 8),
    ]
    writes = [i for i in stream.instrs if i.op is Op.TASK]
    assert writes[0].p[0] == 28


def test_waferengine_head_holds_1188_rows_a_core():
    stream = head(QWEN, Shard.of(QWEN, 256, 256, 16), 128)
    lm_head = [i for i in stream.instrs if i.note == "lm_head" and i.op is Op.VECTOR]
    assert lm_head[-1].p[:2] == (8, 1187)


def test_groups_default_to_the_published_or_the_root():
    assert default_groups(660) == 22
    assert default_groups(100) == 10


def test_best_grid_is_no_worse_than_the_published_best():
    grid = best_grid(preset("llama-3-8b"), find_machine("wse2"), 4096, None)
    assert 250 <= grid.side <= 450


def test_unknown_names_are_refused():
    with pytest.raises(ModelNotFoundError, match="nonesuch"):
        build_published("nonesuch", find_machine("wse2"), "waferllm", MappingOptions())


def test_waferengine_has_no_experts():
    with pytest.raises(CompileError, match="no experts"):
        Shard.of(preset("mixtral-8x7b"), 64, 64, 8)
