"""Latent attention on meshes, and what depends on positions, beside the graph interpreter."""

from dataclasses import replace

import pytest
from support.mesh_configs import CLAMPED, DENSE, LATENT, anything, latent
from support.mesh_models import differences, randomly
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import EXACT
from undiced.core.errors import CompileError
from undiced.sim.mesh.executor import MeshExecutor

TOKENS = [3, 17, 36, 0, 8, 8, 21, 30, 5, 12]
WAYS = {
    "queries from a latent": LATENT,
    "queries from the hidden state": latent(q_rank=0),
    "biases": replace(LATENT, qkv_bias=True, out_bias=True),
    "biases without a query's latent": replace(latent(q_rank=0), qkv_bias=True),
    "interleaved pairs": replace(LATENT, rope=replace(LATENT.rope, style="interleaved")),
    "some pairs at rest": replace(LATENT, rope=replace(LATENT.rope, dims=2)),
    "one column of values": latent(v_dim=1),
    "odd heads": replace(LATENT, heads=3, kv_heads=3),
    "more heads than columns": replace(LATENT, heads=10, kv_heads=10),
    "divided frequencies": replace(LATENT, rope=replace(LATENT.rope, factors=True, scaling="linear", factor=2.0)),
    "a layer norm ahead": replace(LATENT, norm="layer"),
    "norms behind": replace(LATENT, post_norms=True),
}
PLACES = {
    "queries that grow where nothing rotates": replace(
        DENSE, rope=replace(DENSE.rope, skip_layers=(1,)), temperature_floor=3, temperature_scale=0.4
    ),
    "norms without weights behind rotations": replace(DENSE, qk_norm="l2", rope=replace(DENSE.rope, skip_layers=(0,))),
    "chunks": replace(DENSE, windows=(3, 0), chunked=True),
    "windows with a base of their own": replace(DENSE, windows=(3, 0), rope=replace(DENSE.rope, local_theta=500.0)),
    "divided frequencies": replace(DENSE, rope=replace(DENSE.rope, factors=True)),
    "some pairs at rest": replace(DENSE, rope=replace(DENSE.rope, dims=4)),
}


def held_to_the_graph(config, rows, columns, **how):
    graph, weights = randomly(config)
    mesh = MeshExecutor(compile_mesh(graph, rows, columns, context=32, **how), weights.__getitem__)
    worst, agree = differences(graph, weights, mesh, TOKENS)
    assert worst < 5e-3
    assert agree


@pytest.mark.parametrize(("rows", "columns", "choices"), [(1, 1, EXACT), (5, 7, EXACT), (6, 4, CLAMPED)])
@pytest.mark.parametrize("way", WAYS)
def test_latents_are_attended_to_as_the_graph_says(way, rows, columns, choices):
    held_to_the_graph(WAYS[way], rows, columns, choices=choices)


@pytest.mark.parametrize("place", PLACES)
def test_positions_matter_as_the_graph_says(place):
    held_to_the_graph(PLACES[place], 5, 7)


def test_an_odd_number_of_rotated_columns_is_refused_by_name():
    graph, _ = randomly(replace(latent(rope_dim=5), rope=replace(LATENT.rope, dims=4)))
    with pytest.raises(CompileError, match=r"mla_attention of layers\.0\.attn\.mixed with an odd number"):
        compile_mesh(graph, 5, 7)


def test_divisors_that_a_rule_stretches_besides_are_refused_by_name():
    rope = replace(DENSE.rope, factors=True, scaling="llama3", factor=8.0, original_context=16)
    graph, _ = randomly(replace(DENSE, rope=rope))
    with pytest.raises(CompileError, match=r"rope of layers\.0\.attn\.q_rotated with divisors"):
        compile_mesh(graph, 5, 7)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_any_model_on_any_mesh_computes_what_its_graph_says(seed):
    config, (rows, columns), choices, cuts = anything(seed)
    held_to_the_graph(config, rows, columns, choices=choices, cuts=cuts, chunk=8)
