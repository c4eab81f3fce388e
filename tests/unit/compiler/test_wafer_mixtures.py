"""Mixtures of experts on meshes: every way to choose and weigh experts, beside the graph interpreter."""

from dataclasses import replace

import pytest
from support.mesh_configs import DENSE, SLICED, mixed
from support.mesh_models import differences, randomly
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import EXACT
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis
from undiced.sim.mesh.executor import MeshExecutor

TOKENS = [3, 17, 36, 0, 8, 8, 21, 30]
WAYS = {
    "softmax over the chosen": mixed(),
    "softmax over all": mixed(normalize=False),
    "softmax with a bias for the choice": mixed(selection_bias=True),
    "softmax in groups": mixed(groups=4, top_groups=2, normalize=False),
    "sigmoid": mixed(scoring="sigmoid", normalize=False, scaling=2.5),
    "sigmoid with a bias for the choice": mixed(scoring="sigmoid", selection_bias=True),
    "sigmoid in groups with a bias": mixed(scoring="sigmoid", groups=4, top_groups=2, selection_bias=True, scaling=2.5),
    "groups of one expert": mixed(groups=8, top_groups=5),
    "one expert": mixed(top_k=1),
    "all experts": mixed(experts=3, top_k=3),
    "a bias of the router": mixed(router_bias=True),
    "biases of experts": mixed(expert_bias=True),
    "weights on the input": mixed(scale_input=True, scoring="sigmoid", normalize=False, expert_bias=True),
    "a shared expert": mixed(shared_ffn=14),
    "a shared expert with biases": replace(mixed(shared_ffn=9), mlp_bias=True),
    "a clamped activation": replace(mixed(limit=0.5, expert_bias=True), activation="swiglu_oss"),
    "a shared expert of its own activation": replace(mixed(limit=0.5, shared_ffn=9), activation="swiglu_oss"),
    "norms behind": replace(mixed(shared_ffn=9), post_norms=True),
    "a layer norm ahead": replace(mixed(expert_bias=True), norm="layer"),
}


@pytest.mark.parametrize(("rows", "columns", "choices"), [(5, 7, EXACT), (4, 6, SLICED)])
@pytest.mark.parametrize("way", WAYS)
def test_experts_are_chosen_and_weighed_as_the_graph_says(way, rows, columns, choices):
    graph, weights = randomly(WAYS[way])
    mesh = MeshExecutor(compile_mesh(graph, rows, columns, context=32, choices=choices), weights.__getitem__)
    worst, agree = differences(graph, weights, mesh, TOKENS)
    assert worst < 5e-3
    assert agree


def reduces(config, axis):
    """Sums over whole lines along an axis in the stream of the last layer's feed-forward."""
    graph, _ = randomly(config)
    program = compile_mesh(graph, 5, 7, context=32)
    run = next(run for run in reversed(program.regions[0].runs) if run.layer >= 0)
    found = program.streams[run.stream].instructions
    return [i for i in found if isinstance(i, isa.Reduce) and i.operation == "sum" and i.line.axis is axis]


@pytest.mark.parametrize("config", [mixed(top_k=1), mixed(top_k=4), mixed(top_k=4, shared_ffn=9)])
def test_all_choices_and_the_shared_expert_share_their_sums(config):
    assert len(reduces(config, Axis.COLUMNS)) == len(reduces(DENSE, Axis.COLUMNS)) == 1
    assert len(reduces(config, Axis.ROWS)) == len(reduces(DENSE, Axis.ROWS)) + 1  # the router's


def test_the_norm_takes_one_inverse_root_for_router_experts_and_shared_expert():
    graph, _ = randomly(mixed(shared_ffn=9))
    program = compile_mesh(graph, 5, 7, context=32)
    run = next(run for run in reversed(program.regions[0].runs) if run.layer >= 0)
    roots = [i for i in program.streams[run.stream].instructions if isinstance(i, isa.Apply) and "root" in i.function]
    assert len(roots) == 1
