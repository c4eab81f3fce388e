"""Speculation, the first token and the floor: limits that hold whatever the parameters."""

import pytest
from support.mesh_configs import DENSE, LATENT, MIXED

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.model import build_config, preset
from undiced.program import Bounds
from undiced.program.wafer.step import Step
from undiced.sim.clock import time_floor, time_step
from undiced.sim.outlook import first_token_cycles
from undiced.sim.speculation import speculate

WSE3 = find_machine("wse3")
TOY = find_machine("toy-12x12")


def timing(model, region):
    options = Options(bounds=Bounds(1, 4096), region=region)
    return time_step(compile_graph(build_config(preset(model)), WSE3, options), WSE3)


def test_drafting_pays_with_acceptance_only():
    target, draft = timing("llama-3.1-8b", (187, 512)), timing("smollm2-135m", (90, 120))
    rates = [speculate(target, draft, a).tokens_per_second for a in (0.0, 0.5, 0.8, 0.95)]
    assert rates == sorted(rates)
    assert rates[0] < target.tokens_per_second  # nothing accepted: drafting only costs
    assert rates[-1] > target.tokens_per_second
    assert speculate(target, draft, 0.8).tokens <= 5


@pytest.mark.parametrize("acceptance", [-0.1, 1.0, 7.0])
def test_acceptance_is_a_probability(acceptance):
    one = time_step(compile_graph(build_config(DENSE), TOY, Options(bounds=Bounds(1, 64), region=(6, 6))), TOY)
    with pytest.raises(CompileError):
        speculate(one, one, acceptance)


@pytest.mark.parametrize("config", [DENSE, MIXED, LATENT], ids=["dense", "mixed", "latent"])
def test_nothing_is_faster_than_its_floor(config):
    program = compile_graph(build_config(config), TOY, Options(bounds=Bounds(1, 64), region=(6, 6)))
    assert 0 < time_floor(program, TOY).token_cycles < time_step(program, TOY).token_cycles
    step = Step(1, 1, 1)
    assert time_step(program, TOY, step).token_cycles < time_step(program, TOY).token_cycles


def test_a_longer_prompt_takes_longer_but_less_than_its_positions_apart():
    program = compile_graph(build_config(DENSE), TOY, Options(bounds=Bounds(1, 64), region=(6, 6)))
    short, long = (first_token_cycles(program, TOY, n, 1e9) for n in (8, 64))
    one = time_step(program, TOY, Step(1, 1, 32))
    assert short < long <= one.token_cycles + 63 * one.initiation_interval_cycles
