"""Ladders from a published mapping to ours: every rung is timed, says what speaks for it, and the first is measured."""

import pytest

from undiced.machine import find_machine
from undiced.validation import published_runs as runs
from undiced.validation.ablation import engine_ladder
from undiced.validation.claims import Ladder, from_the_engine
from undiced.validation.lab import Lab
from undiced.validation.table import ladder_table


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_the_measured_engine_to_ours_every_choice_on_its_region_helps() -> None:
    found = from_the_engine()
    wide, slim, *ours = found.cycles
    assert wide == pytest.approx(55_701 / 4, rel=0.05) and slim == pytest.approx(18_731, rel=0.08)
    assert ours[:-1] == sorted(ours[:-1], reverse=True) and wide > ours[-1] * 1.4
    assert all(rung.evidence for rung in found.rungs)


def test_the_first_rung_is_the_row_that_is_fitted_on_shared_out_over_its_layers() -> None:
    run, wafer = runs.forced(True, 1024), find_machine("wse3")
    first = next(engine_ladder("qwen3-1.7b", wafer, run.stages, run.context))
    regions = Lab().report(run).regions
    expected = sum(region.layer_cycles + region.serving_cycles for region in regions) / 28
    assert first.cycles_per_layer(wafer) == pytest.approx(expected)
    assert first.region == (256, 256) and "S29" in first.evidence
    table = ladder_table(Ladder.of([first], wafer))
    assert table[1][2:] == (f"{expected:,.0f}", "1.00x", first.evidence)
