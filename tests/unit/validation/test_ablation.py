"""From the baseline to our mapping: every step helps."""

from undiced.machine import find_machine
from undiced.validation.ablation import ladder


def test_ablation_beats_the_baseline_and_every_change_helps():
    rungs = ladder("llama-3-8b", find_machine("wse2"))
    assert rungs[0].cycles_per_layer / rungs[-1].cycles_per_layer > 1.8
    cycles_per_layer = [rung.cycles_per_layer for rung in rungs[1:-1]]
    assert cycles_per_layer == sorted(cycles_per_layer, reverse=True)
    assert rungs[-1].cycles_per_layer < 1.02 * rungs[-2].cycles_per_layer  # all layers resident, regions to cross
