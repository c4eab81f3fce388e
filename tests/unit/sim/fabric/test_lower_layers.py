"""Whole runs of compiled programs at level 2: after each instruction, what it wrote has the bits of level 1."""

from functools import cache

import numpy as np
import pytest
from support.fabric_steps import before, differing, same, watched
from support.mesh_models import prompt, tiny

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import InvalidRequestError
from undiced.machine import find_machine
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.lower import lower
from undiced.sim.fabric.simulate import simulate

CASES = {"llama": (7, 5, 6), "qwen3": (9, 6, 9), "llama-bias-linear-tied": (8, 8, 12)}  # width, height, tokens


@cache
def made(name):
    """A program on a wafer that it just fills, the moments of a step, the token, its position."""
    width, height, tokens = CASES[name]
    graph, weights = tiny(name)
    wafer = find_machine(f"toy-{width}x{height}")
    program = compile_graph(graph, wafer, Options(bounds=Bounds(1, 64), region=(width, height)))
    given = prompt(name, tokens)
    return wafer, program, watched(program, weights, given), given[-1], tokens - 1


def lowered(name, runs, upto=-1):
    """Runs of the first region, and what cores have before them."""
    wafer, program, moments, token, position = made(name)
    found = lower(program, 0, runs, token=token, position=position, wafer=wafer, upto=upto)
    return found, found.memory([before(moments, run, frame) for run, frame in zip(runs, found.frames, strict=True)])


def ran(name, program, memory):
    """The memory that a program leaves."""
    outcome = simulate(program, Hardware.of(made(name)[0]), memory=memory, threads=1)
    assert outcome.status == "finished", outcome.waiting[:3]
    return outcome.memory


def runs_of(name, stream):
    """The first run of a stream, and its moments."""
    _, program, moments, _, _ = made(name)
    number = next(n for n, run in enumerate(program.regions[0].runs) if program.streams[run.stream].name == stream)
    return number, [moment for moment in moments if moment.run == number]


@pytest.mark.parametrize(
    ("name", "stream"),
    [("llama", "attn.sum"), ("llama", "ffn.sum")]
    + [
        pytest.param(name, stream, marks=pytest.mark.slow)
        for name in CASES
        for stream in ("tables", "embedded", "attn.sum", "ffn.sum")
        if (name, stream) not in {("llama", "attn.sum"), ("llama", "ffn.sum")}
    ],
)
def test_after_each_instruction_values_have_the_bits_of_level_1(name, stream):
    number, moments = runs_of(name, stream)
    found, memory = lowered(name, [number])
    for after, moment in enumerate(moments, 1):
        program = found.before(after) if after < len(moments) else found.program
        left = ran(name, program, memory.copy())
        assert not differing(found.frames[0], left, moment), moment.instruction


@pytest.mark.parametrize("name", ["llama", pytest.param("qwen3", marks=pytest.mark.slow)])
def test_a_token_from_its_embedding_to_the_next_has_the_bits_of_level_1(name):
    number, moments = runs_of(name, "logits")
    found, memory = lowered(name, list(range(number + 1)))
    left = ran(name, found.program, memory)
    logits = next(moment for moment in moments if isinstance(moment.instruction, isa.Select))
    assert np.isfinite(logits.arrays["logits"]).all()
    for value in ("hidden", "token"):
        assert same(found.frames[-1], left, moments[-1], value)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"runs": [99]}, "run 99"),
        ({"runs": []}, "run -1"),
        ({"token": 10**6}, "token 1000000"),
        ({"position": 64}, "position 64"),
        ({"region": 1}, "region 1"),
    ],
)
def test_what_a_program_lacks_is_refused_by_name(asked, what):
    wafer, program, *_ = made("llama")
    how = {"region": 0, "runs": [0], "token": 0, "position": 0, **asked}
    with pytest.raises(InvalidRequestError, match=f"no {what}") as refusal:
        lower(program, how.pop("region"), how.pop("runs"), wafer=wafer, **how)
    assert "0 to" in refusal.value.remedy
