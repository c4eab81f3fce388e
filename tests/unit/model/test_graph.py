"""Graphs: verification names what is wrong, digests and dumps are stable, totals add up."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from undiced.core.errors import CompileError
from undiced.core.manifest import WeightSlot
from undiced.model import Graph, KvState, Load, Node, build, build_config, config_of, load_weights, run_graph


def broken(graph: Graph, index: int, **changes: object) -> Graph:
    nodes = list(graph.nodes)
    nodes[index] = replace(nodes[index], **changes)  # type: ignore[arg-type]
    return replace(graph, nodes=tuple(nodes))


def test_build_binds_every_slot_and_verifies(tiny_llama):
    graph = build(tiny_llama)
    assert graph.slot("layers.1.attn.k").sources[0].tensor == "model.layers.1.self_attn.k_proj.weight"
    assert graph.parameters == sum(a.size for a in tiny_llama.arrays.values())
    assert graph.nodes[-1].out == graph.output == "logits"
    assert {n.layer for n in graph.nodes} == {-1, 0, 1}


def test_graph_of_a_configuration_has_the_same_nodes_and_no_sources(tiny_llama):
    built, planned = build(tiny_llama), build_config(config_of(tiny_llama), "Q8_0")
    assert planned.nodes == built.nodes
    assert {s.format for s in planned.slots if s.rows > 1} == {"Q8_0"}
    assert not any(s.sources for s in planned.slots)
    assert planned.digest != built.digest


def test_digest_is_of_the_content(tiny_llama):
    graph = build(tiny_llama)
    assert graph.digest == build(tiny_llama).digest
    assert graph.digest != broken(graph, 1, attrs={"eps": 1e-4, "width": 32}).digest
    assert "node 0 layers.0.attn.q.out = linear(layers.0.attn.norm.out, layers.0.attn.q)" in graph.dump()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op": "fft"}, "no operator is called 'fft'"),
        ({"ins": ("nowhere",)}, "before it is defined"),
        ({"ins": ("embedded", "embedded")}, "2 inputs, expected 1"),
        ({"weights": ("embed",)}, "expected 1 x 32"),
        ({"weights": ("missing",)}, "no weight slot 'missing'"),
        ({"attrs": {"eps": 1e-5}}, "attributes"),
        ({"attrs": {"eps": 1e-5, "width": 32.0}}, "not int"),
        ({"attrs": {"eps": 1e-5, "width": 5}}, "groups of 5"),
        ({"out": "embedded"}, "already defined"),
    ],
)
def test_verify_names_a_broken_node(tiny_llama, changes, message):
    graph = build(tiny_llama)
    assert graph.nodes[1].op == "rmsnorm"
    with pytest.raises(CompileError, match=message):
        broken(graph, 1, **changes).verify()


def test_verify_names_a_broken_slot(tiny_llama):
    graph = build(tiny_llama)
    extra = WeightSlot("spare", 4, 4, "F32")
    with pytest.raises(CompileError, match="No node of the graph reads weight slot 'spare'"):
        replace(graph, slots=(*graph.slots, extra)).verify()
    with pytest.raises(CompileError, match="unknown format 'Q9'"):
        replace(graph, slots=(*graph.slots[1:], structs.replace(graph.slots[0], format="Q9"))).verify()
    with pytest.raises(CompileError, match="one name"):
        replace(graph, slots=(*graph.slots, graph.slots[0])).verify()
    with pytest.raises(CompileError, match="must be 50 wide"):
        replace(graph, output="embedded").verify()


def test_format_must_hold_the_columns(tiny_llama):
    with pytest.raises(CompileError, match="multiple of 256"):
        build_config(config_of(tiny_llama), "Q4_K")


def test_flops_and_bytes_of_one_token_follow_the_weights(tiny_llama):
    graph = build(tiny_llama)
    load = Load(tokens=1, context=1.0)
    products = 2 * sum(s.rows * s.columns for s in graph.slots if s.rows > 1 and s.name != "embed")
    assert products < graph.flops(load) < products * 1.2
    read = graph.weight_bytes - graph.slot("embed").rows * 32 * 4
    assert read < graph.bytes(load) < read * 1.3


def test_attention_cost_grows_with_context_until_the_window(tiny_llama):
    config = config_of(tiny_llama)
    full, windowed = build_config(config), build_config(replace(config, windows=(16, 16)))
    far, near = Load(1, 60.0), Load(1, 16.0)
    per_position = 2 * 4 * (4 * 8 + 4)
    assert full.flops(far) - full.flops(near) == pytest.approx(44 * per_position)
    assert windowed.flops(far) == windowed.flops(near)
    row_bytes = 2 * 2 * 2 * 8 * 2
    assert full.bytes(far) - full.bytes(near) == pytest.approx(44 * row_bytes)


def test_prefill_reads_the_cache_once_a_sequence(tiny_llama):
    graph = build(tiny_llama)
    one = graph.bytes(Load(tokens=32, context=16.5, sequences=1, value_bytes=0))
    empty = graph.bytes(Load(tokens=32, context=16.5, sequences=1, value_bytes=0, kv_bytes=0))
    assert one - empty == pytest.approx((32 + 32) * 2 * 2 * 2 * 8 * 2)


def test_nodes_are_checked_in_order():
    node = Node("add", "sum", ("tokens", "positions"))
    assert node.attrs == {} and node.layer == -1


def test_scaling_and_capping_nodes_run(tiny_llama):
    """`mul_scalar` is in the table for families to come; here between the head and a cap."""
    graph = build(tiny_llama)
    *body, head = graph.nodes
    scaled = Node("mul_scalar", "scaled", ("raw",), (), {"scalar": 0.5})
    capped = Node("softcap", "logits", ("scaled",), (), {"cap": 2.0})
    changed = replace(graph, nodes=(*body, replace(head, out="raw"), scaled, capped))
    changed.verify()
    weights = load_weights(graph, tiny_llama)
    plain, other = (run_graph(g, weights, [1, 2, 3], KvState()) for g in (graph, changed))
    np.testing.assert_allclose(other, 2 * np.tanh(plain / 4), atol=1e-5)
    assert changed.flops(Load(1, 1.0)) == graph.flops(Load(1, 1.0)) + 4 * 50
