"""Heads over columns: sub-bands where columns would idle, as few as pay, and logits as the graph says."""

from dataclasses import replace

import pytest
from support.mesh_configs import CLAMPED, DENSE, SLICED
from support.mesh_models import differences, randomly
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import EXACT, LEAN, Choices
from undiced.compiler.wafer.lower.grid import Bands
from undiced.program.wafer.instruction import Append
from undiced.program.wafer.layout import Replicate, Shard, ways
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import Kind
from undiced.sim.mesh.executor import MeshExecutor

TOKENS = [3, 17, 36, 0, 8, 8, 21, 30, 5, 12]
ONE = replace(DENSE, kv_heads=1)  # four query heads; four pairs a head
THREE = replace(DENSE, heads=6)  # three query heads of each of two KV heads
MODELS = {
    "one KV head": ONE,
    "three query heads each": THREE,
    "one query head each": replace(DENSE, heads=2),
    "sinks and windows": replace(THREE, sinks=True, windows=(0, 6)),
    "sinks and capped scores": replace(ONE, sinks=True, attn_softcap=30.0),
    "norms of heads, windows, norms behind": replace(ONE, qk_norm="weight", windows=(3, 0), post_norms=True),
    "one norm of all heads, norms behind alone": replace(THREE, qk_norm="whole", pre_norms=False, post_norms=True),
    "one norm of all heads on one KV head": replace(ONE, qk_norm="whole", rope=replace(DENSE.rope, dims=4)),
    "norms without weights": replace(THREE, qk_norm="l2", attn_softcap=30.0),
    "chunks, and queries that grow": replace(
        THREE, windows=(5, 0), chunked=True, temperature_floor=3, temperature_scale=0.4
    ),
    "biases": replace(THREE, qkv_bias=True, out_bias=True),
    "some pairs at rest": replace(THREE, rope=replace(DENSE.rope, dims=4)),
    "no rotation in a layer": replace(ONE, rope=replace(DENSE.rope, skip_layers=(1,))),
}


@pytest.mark.parametrize(
    ("kv_heads", "columns", "pairs", "group", "count", "lanes", "groups"),
    [
        (1, 24, 128, 4, 1, 22, 1),  # as few lanes as hold six pairs each
        (1, 255, 128, 4, 1, 128, 1),
        (1, 256, 128, 4, 1, 128, 2),
        (1, 511, 128, 4, 1, 128, 2),  # three sub-bands would leave two heads on one of them
        (1, 512, 128, 4, 1, 128, 4),
        (1, 9999, 128, 4, 1, 128, 4),
        (2, 17, 4, 3, 2, 4, 2),
        (2, 25, 4, 3, 2, 4, 3),
        (8, 512, 64, 4, 8, 64, 1),
        (8, 2048, 64, 1, 8, 64, 1),
        (8, 5, 64, 4, 5, 1, 1),
    ],
)
def test_sub_bands_take_columns_that_would_idle(kv_heads, columns, pairs, group, count, lanes, groups):
    found = Bands.of(kv_heads, columns, pairs, group)
    assert found == Bands(count, lanes, groups)
    assert found.columns == ways(found.queries()) == ways(found.keys("pair")) == ways(found.lanes_of("pair")) <= columns


def test_what_is_of_query_heads_is_shared_out_and_what_is_of_kv_heads_repeated():
    bands = Bands(2, 4, 3)
    assert bands.queries("pair") == (Shard("kv", 2), Shard("group", 3), Shard("pair", 4))
    assert bands.keys("pair") == (Shard("kv", 2), Replicate(3), Shard("pair", 4))
    assert Bands(2, 4).queries("pair") == Bands(2, 4).keys("pair") == (Shard("kv", 2), Shard("pair", 4))


@pytest.mark.parametrize(("rows", "columns", "choices"), [(3, 17, EXACT), (2, 29, CLAMPED), (5, 9, SLICED)])
@pytest.mark.parametrize("model", MODELS)
def test_heads_on_sub_bands_compute_what_the_graph_says(model, rows, columns, choices):
    graph, weights = randomly(MODELS[model])
    mesh = MeshExecutor(compile_mesh(graph, rows, columns, context=32, choices=choices), weights.__getitem__)
    worst, agree = differences(graph, weights, mesh, TOKENS)
    assert worst < 5e-3
    assert agree


def attention(program):
    """The stream of attention, and its shares."""
    stream = next(s for s in program.streams if any(isinstance(i, Append) for i in s.instructions))
    return stream, Shares({value.name: value for value in stream.values}, program.trees)


@pytest.mark.parametrize(("config", "narrow", "wide"), [(ONE, 4, 8), (ONE, 4, 17), (THREE, 8, 16), (THREE, 8, 25)])
@pytest.mark.parametrize("choices", [EXACT, CLAMPED, LEAN])
def test_no_core_holds_more_with_sub_bands(config, narrow, wide, choices):
    graph, _ = randomly(config)
    (few, before), (many, after) = (attention(compile_mesh(graph, 3, n, choices=choices)) for n in (narrow, wide))
    for one, other in zip(few.values, many.values, strict=True):
        assert (one.kind, one.dtype) == (other.kind, other.dtype)
        assert after.size(other.name) <= before.size(one.name), other.name
        assert one.kind is not Kind.CACHE or after.size(other.name) == before.size(one.name)
    group = config.heads // config.kv_heads
    assert after.shape("attn.q")[2] == -(-group // Bands.of(config.kv_heads, wide, 4, group).groups) < group


@pytest.mark.parametrize("config", [ONE, THREE])
def test_published_mappings_have_whole_bands(config):
    graph, _ = randomly(config)
    stream, _ = attention(compile_mesh(graph, 3, 25, choices=Choices(whole_bands=True)))
    assert not any(isinstance(p, Shard) and p.dim == "group" for value in stream.values for p in value.columns)
