"""Joules, watts and the densest square centimeter follow from counts and draws, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.mesh_models import tiny

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.machine.energy import COUNTS, energy_draws, energy_of
from undiced.program import Bounds
from undiced.sim.power.check import check
from undiced.sim.power.density import CM2_MM2, coarse, densest, side_of
from undiced.sim.power.power import power

WAFER = find_machine("toy-14x5:22K")


@pytest.fixture(scope="module")
def program():
    graph, _ = tiny("llama")
    return compile_graph(graph, WAFER, Options(bounds=Bounds(2, 64), region=(7, 5)))


@pytest.fixture(scope="module")
def found(program):
    return power(program, WAFER, 64)


def test_operators_and_parts_each_add_up_to_a_tokens_work(found):
    drawn = energy_draws(WAFER)
    whole = drawn.joules @ np.array([found.counts[name] for name in COUNTS])
    assert found.work_j.median == pytest.approx(float(np.median(whole)))
    assert sum(found.counts[name] * mean for name, mean in zip(COUNTS, drawn.mean, strict=True)) == pytest.approx(
        float(whole.mean())
    )
    assert next(iter(found.nodes.values())).median == max(each.median for each in found.nodes.values())


def test_the_map_holds_every_joule_at_its_place(program, found):
    drawn, seconds = energy_draws(WAFER), {}
    for visits, timed in zip(program.places, found.timing.regions, strict=True):
        seconds[visits[0].wafer, visits[0].rect] = timed.cycles / found.timing.clock_hz
    there = 0.0
    for (wafer, rect), lasts in seconds.items():
        part = found.grids[wafer][rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
        assert (part > 0).all()
        there += float(part.sum()) * lasts
    whole = sum(found.counts[name] * mean for name, mean in zip(COUNTS, drawn.mean, strict=True))
    assert there == pytest.approx(whole)


def test_watts_are_idle_and_work_at_the_rate_and_more_at_the_wall(found):
    for each in (found.one, found.all):
        assert found.idle_w.median < each.wafer_w.median < each.system_w.median
        assert each.token_j.median * each.tokens_per_second == pytest.approx(each.system_w.median)
    assert found.all.streams == 2 and found.all.tokens_per_second > found.one.tokens_per_second
    assert found.all.token_j.median < found.one.token_j.median, "idle is shared"


def test_coolant_takes_away_what_the_wall_gives(found):
    each = energy_of(WAFER)
    carried = found.flow_l_per_min / 60 * each.coolant_j_per_l_k.value * found.all.rise_k.median
    assert carried == pytest.approx(found.all.system_w.median)


def test_the_densest_square_is_found_by_sums_over_all_squares():
    grid = np.random.default_rng(5).random((9, 7))
    window, most = densest(grid, 3, 2)
    every = {(x, y): grid[y : y + 2, x : x + 2].sum() for y in range(8) for x in range(6)}
    assert (window.x, window.y) == max(every, key=every.__getitem__) and window.wafer == 3
    assert most == pytest.approx(max(every.values()))
    assert densest(grid, 0, 100)[1] == pytest.approx(grid.sum()), "a mesh below a square centimeter is one square"


def test_a_square_centimeter_has_as_many_cores_as_fit():
    wafer = find_machine("wse3")
    assert side_of(wafer) ** 2 * wafer.mesh.core_mm2 == pytest.approx(CM2_MM2, rel=0.03)
    assert WAFER.mesh.die_area_mm2.value == pytest.approx(80 * wafer.mesh.core_mm2), (
        "a toy is as large as its cores and spares"
    )


def test_coarse_cells_are_means():
    assert coarse(np.arange(12.0).reshape(3, 4), 2).tolist() == [[2.5, 4.5], [8.5, 10.5]]


@pytest.mark.parametrize("name", ["wse1", "wse2", "wse3"])
def test_no_draw_takes_more_than_the_published_power(name):
    wafer = find_machine(name)
    drawn = energy_draws(wafer)
    assert 50 < len(drawn.volts) < drawn.drawn
    assert (drawn.idle_w < wafer.system.power_w.value * drawn.delivered).all()
    assert drawn.joules.min() > 0
    sram = COUNTS.index("sram_bytes")
    assert energy_draws(supplied(wafer, 0.8)).mean[sram] < drawn.mean[sram], "less leaves the smaller energies"
    with pytest.raises(CompileError, match="no energies that are assumed fit that") as refused:
        energy_draws(supplied(wafer, 1e-3))
    assert refused.value.remedy


def supplied(wafer, share):
    power_w = wafer.system.power_w
    return replace(wafer, system=replace(wafer.system, power_w=replace(power_w, value=power_w.value * share)))


def test_every_energy_says_where_it_is_from_and_what_is_assumed_has_a_range():
    for name, each in energy_of(find_machine("wse3")).constants():
        assert each.source, name
        assert each.provenance != "assumed" or each.span[0] < each.value < each.span[1], name


def test_the_one_measured_power_lies_where_the_energies_put_it():
    beside = check()
    assert beside.wafer_w.low < beside.published.value < beside.system_w.high


def test_prompts_and_longer_contexts_are_refused(program):
    with pytest.raises(CompileError, match="holds 64 positions") as refused:
        power(program, WAFER, 65)
    assert refused.value.remedy
