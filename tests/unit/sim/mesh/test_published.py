"""The published mappings compute models: their programs, core by core, beside the graph interpreter."""

from dataclasses import replace

import numpy as np
import pytest
from support.mesh_configs import DENSE
from support.mesh_models import differences, executor, forced, prompt, randomly, reference, tiny
from support.tiny_models import case_names

from undiced.compiler.wafer.published.asked import Asked
from undiced.compiler.wafer.published.build import build_whole
from undiced.compiler.wafer.published.waferllm import waferllm_benchmark, waferllm_prompt
from undiced.core.errors import CompileError, InvalidRequestError, ProgramFileError
from undiced.machine import find_machine
from undiced.model import KvState, RopeConfig, build_config, run_graph
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.sim.clock import time_step
from undiced.sim.mesh.executor import MeshExecutor

BOUND = 2e-3  # of the logits' deviation: vector sequences are good to 1e-4, the library is exact
ONE_HEAD = replace(DENSE, heads=1, kv_heads=1, head_dim=12, rope=RopeConfig(theta=1e4, dims=12))
TOKENS = [5, 11, 3, 36, 0, 7, 7, 20, 14]


def mesh(graph, weights, mapping, machine="toy-6x6", region="auto", numbers="fp32"):
    program = build_whole(graph, find_machine(machine), mapping, region, Bounds(1, 64), 64)
    return MeshExecutor(program, weights.__getitem__, numbers)


@pytest.mark.parametrize("mapping", ["waferllm", "waferengine"])
@pytest.mark.parametrize("name", case_names())
def test_every_family_is_computed_or_refused_by_name(name, mapping):
    graph, weights = tiny(name)
    try:
        made = mesh(graph, weights, mapping)
    except CompileError as error:
        assert graph.config.name in error.message or "sinks" in error.message
        assert error.remedy
        assert graph.config.moe or graph.config.mla or graph.config.sinks
        return
    tokens = prompt(name)
    found, wanted = forced(made, tokens), reference(name, tokens)
    assert np.abs(found - wanted).max() < BOUND * max(1.0, float(wanted.std()))
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize(("machine", "region"), [("toy-6x6", (3, 6)), ("toy-140x4:48K", (6, 4)), ("toy-5x7", (5, 7))])
def test_a_pipeline_hands_on_what_it_computes(machine, region):
    graph, weights = randomly(replace(DENSE, layers=3, qk_norm="weight"))
    made = mesh(graph, weights, "waferengine", machine, region)
    largest, same = differences(graph, weights, made, TOKENS)
    assert largest < BOUND and same


@pytest.mark.parametrize("side", [3, 4, 6])
@pytest.mark.parametrize("length", [1, 9, 12])
def test_a_prompt_that_lies_over_cores_has_the_logits_of_all_its_tokens(side, length):
    graph, weights = randomly(ONE_HEAD)
    asked = Asked(graph, find_machine(f"toy-{side}x{side}"), side, side, 1, Bounds(1, 12))
    made = MeshExecutor(waferllm_prompt(asked), weights.__getitem__)
    tokens = [*TOKENS, 1, 2, 3][:length]
    found, wanted = made.step([(0, tokens)]), run_graph(graph, weights, tokens, KvState())
    assert found.logits.shape == wanted.shape
    assert np.abs(found.logits - wanted).max() < BOUND * wanted.std()
    assert found.tokens == tuple(wanted.argmax(axis=1))


def test_a_whole_prompt_is_timed_from_the_host_to_its_logits():
    graph, _ = randomly(ONE_HEAD)
    machine = find_machine("toy-4x4")
    program = waferllm_prompt(Asked(graph, machine, 4, 4, 1, Bounds(1, 9)))
    timing = time_step(program, machine)
    assert timing.by_kind()["io"] > 0 and timing.by_instruction()["ShiftProduct"] > 0
    assert sum(timing.by_kind().values()) == pytest.approx(timing.token_cycles)


def test_prompts_in_16_bits_are_near():
    graph, weights = randomly(ONE_HEAD)
    asked = Asked(graph, find_machine("toy-4x4"), 4, 4, 1, Bounds(1, 9))
    made = MeshExecutor(waferllm_prompt(asked), weights.__getitem__, "wafer")
    found, wanted = made.step([(0, TOKENS)]).logits, run_graph(graph, weights, TOKENS, KvState())
    assert 1e-6 < np.abs(found - wanted).max() / wanted.std() < 0.05


def test_a_prompt_program_takes_one_prompt_of_one_head():
    graph, weights = randomly(ONE_HEAD)
    machine = find_machine("toy-4x4")
    made = MeshExecutor(waferllm_prompt(Asked(graph, machine, 4, 4, 1, Bounds(1, 9))), weights.__getitem__)
    with pytest.raises(InvalidRequestError, match="one prompt"):
        made.step([(0, [1, 2]), (1, [3])])
    several, _ = randomly(DENSE)
    with pytest.raises(CompileError, match="defined for one") as refused:
        waferllm_prompt(Asked(several, machine, 4, 4, 1, Bounds(1, 9)))
    assert refused.value.remedy


def test_the_benchmark_computes_no_model():
    """Its activation leaves elements of the gate out, and nothing enters or leaves it."""
    machine = find_machine("toy-4x4")
    graph = build_config(replace(ONE_HEAD, ffn=40), "F32")
    program = waferllm_benchmark(Asked(graph, machine, 4, 4, 2, Bounds(1, 64)))
    layer = next(s for s in program.streams if s.name.startswith("ffn"))
    gates = [i for i in layer.instructions if isinstance(i, isa.Apply) and i.function == "silu"]
    values = {value.name: value for value in layer.values}
    assert [values[i.a].dims[0].size for i in gates] == [32 // 4]
    assert sum(run.layer == 0 for run in program.regions[0].runs) == 2 * graph.config.layers
    _, weights = randomly(replace(ONE_HEAD, ffn=40))
    with pytest.raises(ProgramFileError, match="logits"):
        MeshExecutor(program, weights.__getitem__).step([(0, [1])])


def test_both_mappings_and_ours_choose_the_same_tokens():
    name = "llama"
    graph, weights = tiny(name)
    tokens = prompt(name)
    chosen = [forced(executor(name, 5, 7), tokens).argmax(axis=1)]
    chosen += [forced(mesh(graph, weights, mapping), tokens).argmax(axis=1) for mapping in ("waferllm", "waferengine")]
    assert all((chosen[0] == other).all() for other in chosen)
