"""Claims over a few samples: ordered intervals, and an ablation in which every choice helps."""

from itertools import islice

import pytest
from support.mesh_configs import DENSE

from undiced.compiler.wafer.search import compile_graph
from undiced.machine import find_machine
from undiced.machine.cost import repriced
from undiced.model import build_config
from undiced.validation import claims as claiming
from undiced.validation.ablation import ladder
from undiced.validation.claims import Claim, Timer, claims
from undiced.validation.joint import Sample
from undiced.validation.table import claim_table, kept_line


@pytest.mark.slow
def test_intervals_hold_their_quantiles_in_order(monkeypatch):
    speed = Claim("speed", "tokens/s", "wse3", 1.1, lambda t: 1e6 / (100 + t.sample.costs.step_software))
    gain = Claim("gain", "x", "wse2", None, lambda t: t.sample.costs.vector_setup)
    monkeypatch.setattr(claiming, "_speeds", lambda: [speed])
    monkeypatch.setattr(claiming, "_gain", lambda rungs: gain)
    monkeypatch.setattr(claiming, "ladder", lambda *_: [])
    heard = []
    found = claims(6, lambda share, what: heard.append(share))
    assert heard == sorted(heard) and heard[-1] < 1
    assert found.drawn == 6 and 0 < found.kept["wse3"] <= 6
    for interval in found.intervals:
        assert interval.low <= interval.median <= interval.high
    assert "6 of wse2" in kept_line(found) and len(claim_table(found)) == 3


@pytest.mark.slow
def test_the_whole_of_the_claims():
    found = claims(4)
    speeds = [c for c in found.intervals if c.unit == "tokens/s"]
    assert {c.clock_ghz for c in speeds} == {0.85, 1.1}
    assert all(c.low <= c.high for c in speeds)


def test_on_the_baseline_s_own_grid_every_choice_helps():
    wafer = find_machine("wse2")
    cycles = [rung.cycles_per_layer(wafer) for rung in islice(ladder("llama-3-8b", wafer), 5)]
    assert cycles[0] / cycles[-1] > 1.3
    assert cycles[1:] == sorted(cycles[1:], reverse=True)


def test_a_sample_times_a_program_by_its_own_constants_and_a_floor_by_none_of_them():
    wafer, program = find_machine("toy-8x8"), compile_graph(build_config(DENSE), find_machine("toy-8x8"))
    slow = Timer(Sample(repriced(wafer, {"straight_setup": 100.0})))
    usual = Timer(Sample(wafer))
    floor = usual.of(program, 1.0, floor=True).token_cycles
    assert slow.of(program, 1.0).token_cycles > usual.of(program, 1.0).token_cycles > floor
    assert slow.of(program, 1.0, floor=True).token_cycles == floor
