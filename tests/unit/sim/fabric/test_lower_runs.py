"""Whole runs of a region at level 2, movers beside local instructions: every value has the bits of level 1."""

import pytest
from support.fabric_runs import FEW, differing_values, routed_model, whole_run

from undiced.compiler.wafer.lower.choices import EXACT


@pytest.mark.parametrize(
    ("name", "rows", "columns", "choices", "tokens"), [("llama", 8, 6, EXACT, 9), ("qwen3", 5, 4, FEW, 6)]
)
def test_a_run_leaves_the_bits_of_level_1(name, rows, columns, choices, tokens):
    program, given, moments = routed_model(name, rows, columns, choices, tokens)
    runs = [run for run in program.regions[0].runs if run.layer <= 0]
    streams = {program.streams[run.stream].name for run in runs}
    assert {"tables", "embedded", "attn.sum", "ffn.sum"} <= streams
    for number, run in enumerate(program.regions[0].runs):
        if run.layer > 0 or program.streams[run.stream].name not in streams - {"logits"}:
            continue
        frame, outcome = whole_run(program, given, moments, number)
        assert outcome.status == "finished", outcome.waiting
        wrong, right = differing_values(frame, outcome, moments, number)
        assert not wrong
        assert right


def test_late_cores_change_no_bit_of_a_layer():
    program, given, moments = routed_model("llama", 5, 7, FEW, 5)
    number = next(n for n, run in enumerate(program.regions[0].runs) if run.layer == 0)
    for seed in range(3):
        frame, outcome = whole_run(program, given, moments, number, skew=400, jitter=30, seed=seed)
        assert outcome.status == "finished", outcome.waiting
        assert differing_values(frame, outcome, moments, number)[0] == []
