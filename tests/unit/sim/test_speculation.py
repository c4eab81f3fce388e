"""Speculation, the first token and the floor: limits that hold whatever the parameters."""

import pytest
from undiced.sim.floor import floor_cycles

from undiced.compiler.wafer.published.build import build_mapping
from undiced.core.errors import CompileError
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.sim.analytic import Step, simulate
from undiced.sim.first_token import first_token
from undiced.sim.speculation import speculate

WSE3 = find_machine("wse3")
STEP = Step(context=4096)


def report(model, **options):
    return simulate(build_mapping(model, WSE3, "undiced", MappingOptions(context=4096, **options)), WSE3, STEP)


def test_drafting_pays_with_acceptance_only():
    target, draft = report("llama-3.3-70b", wafers=4), report("llama-3.2-1b")
    rates = [speculate(target, draft, a).tokens_per_second for a in (0.0, 0.5, 0.8, 0.95)]
    assert rates == sorted(rates)
    assert rates[0] < target.tokens_per_second  # nothing accepted: drafting only costs
    assert rates[2] > 2314  # the published figure, which was measured with speculation
    assert speculate(target, draft, 0.8).tokens <= 5


@pytest.mark.parametrize("acceptance", [-0.1, 1.0, 7.0])
def test_acceptance_is_a_probability(acceptance):
    one = report("llama-3.2-1b")
    with pytest.raises(CompileError):
        speculate(one, one, acceptance)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b", "deepseek-v3"])
def test_nothing_is_faster_than_its_floor(model):
    program = build_mapping(model, WSE3, "undiced", MappingOptions(context=4096))
    assert 0 < floor_cycles(program, WSE3, STEP) < simulate(program, WSE3, STEP).token_cycles


def test_a_longer_prompt_takes_longer_and_chunks_help():
    program = build_mapping("llama-3.2-1b", WSE3, "undiced", MappingOptions(context=4096))
    short, long = (first_token(program, WSE3, n, 1.1e9) for n in (128, 4096))
    assert short.seconds < long.seconds
    one_by_one = simulate(program, WSE3, Step(context=2048))
    assert long.cycles <= one_by_one.token_cycles + 4095 * one_by_one.initiation_interval_cycles
