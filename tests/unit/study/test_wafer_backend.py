"""A wafer program behind the engine's protocol: the host's tokens, the clock's seconds, the power model's joules."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.defective import MACHINE, whole
from support.mesh_models import prompt, reference, tiny

from undiced.cli.emulation import Texts
from undiced.compiler.wafer.lower.choices import EXACT
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import EngineError
from undiced.program import Bounds
from undiced.program.wafer.step import Step
from undiced.serve import Request, Sampling, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop
from undiced.serve.policy import Policy
from undiced.sim.clock import time_step
from undiced.sim.mesh.executor import MeshExecutor
from undiced.sim.power.power import power
from undiced.study.wafer_backend import WaferBackend

PROMPT = prompt("llama", 7)


@pytest.fixture
def backend():
    return WaferBackend(MeshExecutor(whole(), tiny("llama")[1].__getitem__), MACHINE)


def run(backend, request):
    clock = VirtualClock()
    loop = EngineLoop(backend, Scheduler(backend.limits, Policy(speculate=False)), clock=clock)
    deltas = [delta for made in loop.run([request]) for delta in made]
    return deltas, next(delta.usage for delta in deltas if delta.usage), clock(), loop.stats()


def test_tokens_are_the_graphs_and_the_account_is_the_wafers(backend):
    deltas, usage, seconds, stats = run(backend, Request("a", tuple(PROMPT), 4, Sampling(temperature=0.0, logprobs=2)))
    tokens, logprobs = [t for d in deltas for t in d.tokens], [p for d in deltas for p in d.logprobs]
    logits = reference("llama", [*PROMPT, *tokens])[len(PROMPT) - 1 : -1].astype(np.float64)
    assert tokens == logits.argmax(1).tolist()
    wanted = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(logprobs, wanted.max(1), atol=2e-2)
    assert usage.source == MACHINE.name and usage.joules == pytest.approx(stats.joules) and usage.joules > 0
    assert seconds == pytest.approx(usage.prompt_s + usage.completion_s)
    clock_hz, last = MACHINE.system.clock_hz.value, range(len(PROMPT) + 1, len(PROMPT) + 4)
    cycles = [time_step(whole(), MACHINE, Step(1, 1, context)).token_cycles for context in last]
    assert usage.completion_s == pytest.approx(sum(cycles) / clock_hz)


def test_texts_run_together_in_chunks_that_cores_hold():
    graph, weights = tiny("llama")
    options = Options(Bounds(2, 24), choices=EXACT, ahead=16, region=(8, 10), chunk=4)
    program = compile_graph(graph, MACHINE, options)
    prompts = [prompt("llama", 11), prompt("llama", 12)[5:]]

    def steps(*which):
        texts = Texts(MeshExecutor(program, weights.__getitem__), MACHINE)
        return list(texts.continued([prompts[each] for each in which], 6, frozenset())), texts.clock()

    (first, first_s), (second, second_s), (both, both_s) = steps(0), steps(1), steps(0, 1)
    assert [token for made in both for which, token in made if which == 0] == [made[0][1] for made in first]
    assert [token for made in both for which, token in made if which == 1] == [made[0][1] for made in second]
    assert sum(len(made) == 2 for made in both) >= 5 and max(first_s, second_s) < both_s <= 1.02 * (first_s + second_s)


def test_a_decoded_token_takes_the_joules_of_the_power_model(backend):
    """The two take medians of a sum, and the sum of medians."""
    _, joules = backend.taken([(15, 1)])
    assert joules == pytest.approx(power(whole(), MACHINE, 16).one.token_j.median, rel=0.05)


def test_a_prompt_follows_through_the_pipeline_and_costs_its_positions(backend):
    (one_s, one_j), (ten_s, ten_j) = backend.taken([(9, 1)]), backend.taken([(0, 10)])
    assert one_s < ten_s <= 10 * one_s * 1.01 and one_j < ten_j <= 10 * one_j * 1.01
    both_s, both_j = backend.taken([(9, 1), (0, 10)])
    assert both_s > ten_s and both_j > ten_j and math.isfinite(both_j)


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.7), Sampling(temperature=0.0, repetition_penalty=1.2)])
def test_what_it_does_not_do_is_refused(backend, sampling):
    with pytest.raises(EngineError, match="likeliest") as told:
        run(backend, Request("a", tuple(PROMPT), 2, sampling))
    assert told.value.remedy
    with pytest.raises(EngineError, match="bias"):
        run(backend, Request("b", tuple(PROMPT), 2, Sampling(temperature=0.0, logit_bias=((1, 2.0),))))
