"""Claims over a few samples: ordered intervals, and an ablation in which every step helps."""

import pytest

from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.validation import claims as claiming
from undiced.validation.ablation import ladder
from undiced.validation.claims import Claim, claims
from undiced.validation.table import claim_table, kept_line


def test_intervals_hold_their_quantiles_in_order(monkeypatch):
    speed = Claim("speed", "tokens/s", "wse3", 1.1, lambda t: 1e6 / (100 + t.sample.costs.step_software))
    gain = Claim("gain", "x", "wse2", None, lambda t: t.sample.costs.vector_setup)
    monkeypatch.setattr(claiming, "_speeds", lambda: [speed])
    monkeypatch.setattr(claiming, "_gain", lambda rungs: gain)
    monkeypatch.setattr(claiming, "ladder", lambda *_: [])
    heard = []
    found = claims(12, lambda share, what: heard.append(share))
    assert heard == sorted(heard) and heard[-1] < 1
    assert found.drawn == 12 and 0 < found.kept["wse3"] <= 12
    for interval in found.intervals:
        assert interval.low <= interval.median <= interval.high
    assert "12 of wse2" in kept_line(found) and len(claim_table(found)) == 3


@pytest.mark.slow
def test_the_whole_of_the_claims():
    found = claims(4)
    speeds = [c for c in found.intervals if c.unit == "tokens/s"]
    assert {c.clock_ghz for c in speeds} == {0.85, 1.1}
    assert all(c.low <= c.high for c in speeds)


def test_ablation_beats_the_baseline_and_every_change_helps():
    wafer = find_machine("wse2")
    costs = CostModel.of(wafer)
    cycles = [rung.cycles_per_layer(costs) for rung in ladder("llama-3-8b", wafer)]
    assert cycles[0] / cycles[-1] > 1.8
    assert cycles[1:-1] == sorted(cycles[1:-1], reverse=True)
    assert cycles[-1] < 1.02 * cycles[-2]  # all layers resident, regions to cross
