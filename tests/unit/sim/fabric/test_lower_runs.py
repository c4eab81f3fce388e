"""Whole runs of a region at level 2, movers beside local instructions: every value has the bits of level 1.

Dense layers, experts that a router chooses, latent attention, and weights of integers.
"""

from dataclasses import replace

import pytest
from support.fabric_runs import FEW, differing_values, routed_model, whole_run
from support.fabric_steps import same

from undiced.compiler.wafer.lower.choices import EXACT
from undiced.machine import wse3
from undiced.program.wafer.value import DType
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.lower import lower
from undiced.sim.fabric.simulate import simulate

INT8, INT4 = (replace(FEW, weights=dtype) for dtype in (DType.I8, DType.I4))


@pytest.mark.parametrize(
    ("name", "rows", "columns", "choices", "tokens"),
    [
        ("llama", 8, 6, EXACT, 9),
        ("qwen3", 5, 4, FEW, 6),
        ("mixtral", 5, 4, FEW, 5),
        pytest.param("gpt-oss", 5, 4, FEW, 5, marks=pytest.mark.slow),
        pytest.param("deepseek-v3", 5, 4, FEW, 5, marks=pytest.mark.slow),
        pytest.param("qwen3-moe", 6, 8, FEW, 5, marks=pytest.mark.slow),
        pytest.param("llama", 4, 5, INT8, 5, marks=pytest.mark.slow),
        pytest.param("qwen3-moe", 4, 5, INT4, 5, marks=pytest.mark.slow),
    ],
)
def test_a_run_leaves_the_bits_of_level_1(name, rows, columns, choices, tokens):
    program, given, moments = routed_model(name, rows, columns, choices, tokens)
    runs = [run for run in program.regions[0].runs if run.layer <= 1]
    streams = {program.streams[run.stream].name for run in runs}
    assert {"tables", "embedded", "attn.sum", "ffn.sum"} <= streams
    for number, run in enumerate(program.regions[0].runs):
        if run.layer > 1 or program.streams[run.stream].name not in streams - {"logits"}:
            continue
        frame, outcome = whole_run(program, given, moments, number)
        assert outcome.status == "finished", outcome.waiting
        wrong, right = differing_values(frame, outcome, moments, number)
        assert not wrong
        assert right


@pytest.mark.parametrize(("skew", "jitter"), [(300, 50), (5000, 0)])
def test_late_cores_change_no_bit_of_a_token(skew, jitter):
    """All layers one after the other, with nothing between them that holds cores together."""
    program, given, moments = routed_model("llama", 5, 7, FEW, 5)
    runs = [n for n, run in enumerate(program.regions[0].runs) if program.streams[run.stream].name != "logits"]
    made = lower(program, 0, runs, token=given[-1], position=4, wafer=wse3())
    memory = made.memory([next(moment.lasting for moment in moments if moment.run == run) for run in runs])
    outcome = simulate(made.program, Hardware.of(wse3()), memory=memory, skew=skew, jitter=jitter, seed=1)
    assert outcome.status == "finished", outcome.waiting
    assert same(made.frames[-1], outcome.memory, [m for m in moments if m.run == runs[-1]][-1], "hidden")
