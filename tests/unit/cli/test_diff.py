"""`undiced diff` and the library below it: traces of one model by different executors, and where they part."""

import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs
from support.commands import run
from support.meshes import compile_mesh
from support.tiny_models import case_names, load_case, make_folder

from undiced.checkpoint import open_checkpoint
from undiced.cli.emulation import Meshed
from undiced.cli.parting import parting
from undiced.cli.traces import trace_graph, trace_host, trace_mesh
from undiced.core.errors import InvalidRequestError
from undiced.model import build

TOKENS = [3, 1, 4, 1, 5]


@pytest.fixture
def opened(tmp_path):
    def open_case(name):
        checkpoint = open_checkpoint(str(make_folder(load_case(name), tmp_path / name)))
        return checkpoint, build(checkpoint)

    return open_case


def mesh_trace(checkpoint, graph, numbers="fp32"):
    return trace_mesh(Meshed(checkpoint, graph, compile_mesh(graph, 3, 5, context=16)), numbers, TOKENS)


@pytest.mark.parametrize("name", case_names())
def test_a_wafer_program_has_the_graphs_values_in_every_layer(opened, name):
    checkpoint, graph = opened(name)
    found = parting(graph.nodes, trace_graph(graph, checkpoint, TOKENS), mesh_trace(checkpoint, graph), 5e-3)
    assert found.first is None, found.first
    assert {node.layer for node in graph.nodes} == {value.layer for value in found.values}
    assert found.values[-1].value == graph.output


@pytest.mark.parametrize("name", ["gemma3", "gpt-neox", "gpt2", "granite", "llama", "olmo2", "qwen3"])
def test_a_host_program_has_the_graphs_values_in_every_layer(opened, name):
    checkpoint, graph = opened(name)
    found = parting(graph.nodes, trace_graph(graph, checkpoint, TOKENS), trace_host(checkpoint, graph, TOKENS), 0.1)
    assert found.first is None, found.first
    assert {node.layer for node in graph.nodes} == {value.layer for value in found.values}


def test_the_first_wrong_value_is_named(opened):
    checkpoint, graph = opened("llama")
    right = trace_graph(graph, checkpoint, TOKENS)
    node = next(node for node in graph.nodes if node.op == "glu" and node.layer == 1)
    wrong = {**right, node.out: right[node.out].copy()}
    wrong[node.out][2, 3] += 7
    found = parting(graph.nodes, right, wrong, 0.01)
    assert found.first is not None
    assert (found.first.layer, found.first.op, found.first.value) == (1, "glu", node.out)
    assert (found.first.token, found.first.column, round(found.first.error, 3)) == (2, 3, 7.0)
    assert [worst.layer for worst in found.by_layer() if worst.relative > 0] == [1]


def test_what_is_no_number_parts(opened):
    checkpoint, graph = opened("llama")
    right = trace_graph(graph, checkpoint, TOKENS)
    wrong = {name: np.where(np.arange(value.shape[1]) == 1, np.nan, value) for name, value in right.items()}
    assert parting(graph.nodes, right, wrong, 0.01).first.value == graph.nodes[0].out
    assert parting(graph.nodes, wrong, wrong, 0.01).first is None


def test_executors_without_a_common_value_are_refused(opened):
    _, graph = opened("llama")
    with pytest.raises(InvalidRequestError, match="no value in common"):
        parting(graph.nodes, {}, {}, 0.01)


def test_a_wrong_weight_shows_where_it_is_used_first(opened):
    checkpoint, graph = opened("llama")
    slot = next(index for index, slot in enumerate(graph.slots) if slot.name == "layers.1.ffn.up")
    other = next(slot for slot in graph.slots if slot.name == "layers.1.ffn.gate")
    swapped = structs.replace(graph.slots[slot], sources=other.sources)
    wrong = replace(graph, slots=(*graph.slots[:slot], swapped, *graph.slots[slot + 1 :]))
    found = parting(graph.nodes, trace_graph(graph, checkpoint, TOKENS), mesh_trace(checkpoint, wrong), 5e-3)
    assert (found.first.layer, found.first.op) == (1, "glu"), "gates and ups are joined where nobody else sees them"


def test_the_command_says_where_it_parts(tmp_path):
    folder = make_folder(load_case("llama"), tmp_path / "llama")
    found = json.loads(
        run("diff", "graph", "wafer", "--model", str(folder), "-n", "4", "--machine", "toy-2x2", "--json")
    )
    assert found["parts"] is False and found["first"] is None and found["tokens"] == 4
    text = run("diff", "graph", "wafer-numbers", "--model", str(folder), "--machine", "toy-2x2", "--tolerance", "0")
    assert "They part at" in text and "embed" in text
