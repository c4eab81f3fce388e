"""Mixtures of experts on meshes: every way to choose and weigh experts, beside the graph interpreter."""

from dataclasses import replace

import numpy as np
import pytest
from support.mesh_configs import DENSE, SLICED, mixed
from support.mesh_models import differences, randomly
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import EXACT
from undiced.model import KvState, run_graph
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Keeper
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType, local_shape
from undiced.program.wafer.verify import verify
from undiced.program.wafer.workload import work
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


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("dtype", [DType.I8, DType.I4])
def test_integers_of_a_shared_expert_are_widened_as_those_of_others(dtype, groups):
    graph, weights = randomly(mixed(ffn=2, shared_ffn=9))
    program = compile_mesh(graph, 3, 6, context=32, choices=replace(EXACT, weights=dtype), groups=groups)
    worst, agree = differences(graph, weights, MeshExecutor(program, weights.__getitem__), TOKENS)
    assert worst < 5e-3
    assert agree


@pytest.mark.parametrize(
    ("rows", "columns", "groups", "choices"), [(5, 7, 2, EXACT), (4, 6, 6, SLICED), (2, 9, 3, EXACT)]
)
@pytest.mark.parametrize("way", WAYS)
def test_experts_on_columns_of_their_own_are_the_same_experts(way, rows, columns, groups, choices):
    graph, weights = randomly(WAYS[way])
    program = compile_mesh(graph, rows, columns, context=32, choices=choices, groups=groups)
    verify(program)
    assert groups_of(program) == {groups}
    worst, agree = differences(graph, weights, MeshExecutor(program, weights.__getitem__), TOKENS)
    assert worst < 5e-3
    assert agree


def test_several_texts_may_choose_experts_of_different_columns():
    graph, weights = randomly(mixed(shared_ffn=9))
    mesh = MeshExecutor(compile_mesh(graph, 3, 6, context=32, groups=3), weights.__getitem__)
    texts = [[3, 17, 36], [0, 8]]
    found = mesh.step(list(enumerate(texts))).logits
    wanted = [run_graph(graph, weights, text, KvState()) for text in texts]
    assert np.abs(found - np.concatenate(wanted)).max() < 5e-3 * wanted[0].std()


def test_no_more_than_a_choice_of_layout_is_between_experts_on_all_columns_and_on_their_own():
    graph, _ = randomly(mixed(ffn=2))
    sliced, own = (compile_mesh(graph, 4, 8, context=32, groups=groups) for groups in (1, 4))
    for a, b in zip(stacks(sliced), stacks(own), strict=True):
        assert local_shape(a)[0] == 4 * local_shape(b)[0]
        assert local_shape(a)[1:] == local_shape(b)[1:]
    for i, (a, b) in enumerate(zip(products(sliced), products(own), strict=True)):
        located = len(b) - len(a)
        assert b[located:] == a
        assert (located, i % 2) in ((3, 0), (5, 1))  # the first of two products, or the sum over choices


def groups_of(program):
    """In how many groups of columns the experts of a program's choices lie."""
    parts = [part for stream in program.streams for value in stream.values for part in value.columns]
    return {part.ways for part in parts if isinstance(part, Keeper)}


def stacks(program):
    """The weights of experts, of which a token takes the chosen ones."""
    return [
        value
        for stream in program.streams
        for value in stream.values
        if value.weights and value.dims[0].name == "expert" and len(value.dims) == 3
    ]


def products(program):
    """The vector operations of each product with chosen experts."""
    return [
        work(i, Shares(values_of(program, stream), program.trees, Step(context=8))).vectors
        for stream in program.streams
        for i in stream.instructions
        if isinstance(i, isa.Product) and i.expert
    ]


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
