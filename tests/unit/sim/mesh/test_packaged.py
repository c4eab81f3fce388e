"""Packaged models on meshes of the size that they deserve, beside the graph interpreter."""

import gc
import runpy
import time
from pathlib import Path

import numpy as np
import pytest

from undiced.checkpoint import CATALOG, is_cached, open_checkpoint
from undiced.cli.emulation import mesh_model
from undiced.machine import find_machine
from undiced.model import KvState, build, load_weights, run_graph
from undiced.program import Bounds
from undiced.text import load_tokenizer

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(900)]
TEXT = "The capital of France is Paris, and the capital of Japan is"


@pytest.mark.parametrize(
    ("name", "machine", "region"),
    [
        ("smollm2-135m", "toy-24x24", (24, 24)),
        ("smollm2-135m", "toy-24x24", (12, 12)),
        ("smollm2-135m", "toy-24x24:350K", None),
        ("gemma3-270m", "toy-20x24", None),
        ("gemma3-270m", "toy-256x4", None),  # two sub-bands of its KV head
    ],
)
def test_a_packaged_model_is_computed_as_the_graph_says(name, machine, region):
    if not is_cached(CATALOG[name]):
        pytest.skip(f"{name} is not on this machine")
    checkpoint = open_checkpoint(name)
    graph, tokenizer = build(checkpoint), load_tokenizer(checkpoint)
    tokens = tokenizer.begun(tokenizer.encode(TEXT))
    weights, state = load_weights(graph, checkpoint), KvState()
    wanted = [run_graph(graph, weights, tokens, state)]
    for _ in range(4):
        wanted.append(run_graph(graph, weights, [int(wanted[-1][-1].argmax())], state))
    del weights, state
    gc.collect()
    mesh = mesh_model(checkpoint, graph, find_machine(machine), Bounds(1, 64), region=region).executor("fp32")
    found = [mesh.step([(0, tokens)])]
    began_s = time.process_time()
    for _ in range(4):
        found.append(mesh.step([(0, [found[-1].tokens[-1]])]))
    spent_s = (time.process_time() - began_s) / 4
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.abs(ours.logits - theirs).max() < 0.02 * theirs.std()
        assert int(ours.logits[-1].argmax()) == int(theirs[-1].argmax()) == ours.tokens[-1]
    assert spent_s < 1 or name != "smollm2-135m", "processor seconds a token: one token per second, at least"


def test_sums_in_16_bits_do_less_harm_than_operators_in_bf16():
    file = Path(__file__).parents[4] / "benchmarks" / "wafer_numbers.py"
    benchmark = runpy.run_path(str(file), run_name="wafer_numbers")
    asked = ("bf16_operators", "16_bit_sums", "32_bit_sums")
    found = benchmark["compare"]("smollm2-135m", 1, 12, "toy-24x24", asked)
    assert found["tokens"] == 12
    assert found["wafer_16_bit_sums"]["mean_kl"] < 1e-3
    assert found["wafer_16_bit_sums"]["mean_kl"] < found["bf16_operators"]["mean_kl"] / 2
    assert found["wafer_32_bit_sums"]["mean_kl"] < found["wafer_16_bit_sums"]["mean_kl"] / 2
