"""Closed forms of collectives beside the fabric: few points with bounds, and that the sweep is what it says."""

from dataclasses import replace

import pytest
from support.mesh_configs import DENSE

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.machine import find_machine
from undiced.model import build_config
from undiced.program import Bounds
from undiced.program.wafer.tree import Level, Tree
from undiced.validation import judgement
from undiced.validation.collective_points import drawn, sums
from undiced.validation.collectives import Collective, judged, mechanisms, wires
from undiced.validation.table import judged_table, worst_table

ALIKE = {  # kind: how far wires alone may be apart on lines of up to 60 cores
    "sums by chains": 0.25,
    "sums by chains, slices": 0.5,
    "sums with stars": 0.5,
    "sums with stars, slices": 0.6,
    "multicasts of a root": 0.5,
    "multicasts of roots of slices": 0.35,
    "multicasts of an owner": 0.35,
    "several on one tree": 0.5,
}


def on_wires(point: Collective) -> tuple[float, int]:
    bare = wires(find_machine(point.machine))
    found = judged(point, bare, bare)
    return found.closed, found.fabric


def test_wires_of_small_lines_are_as_closed_forms_say() -> None:
    points = list(drawn(24, seed=3, span=60))
    assert {point.kind for point in points} == set(ALIKE)
    for point in points:
        closed, fabric = on_wires(point)
        assert abs(closed - fabric) <= max(ALIKE[point.kind] * fabric, 16), (point, closed, fabric)


@pytest.mark.parametrize("machine", ["wse2", "wse3"])
def test_a_chain_of_few_wavelets_and_a_multicast_over_a_line_are_exact(machine: str) -> None:
    chain = Collective("a", machine, Tree(17, (Level(17),)), 1, "f32", ("sum",))
    closed, fabric = on_wires(chain)
    assert abs(closed - fabric) < 1 and fabric == 8 * 6 + 3
    for elements in (1, 8):
        closed, fabric = on_wires(replace(chain, elements=elements, movers=("share",)))
        assert abs(closed - fabric) <= 1


def test_set_ups_of_the_fabric_are_in_the_form_that_is_to_have_them() -> None:
    point = Collective("a", "wse3", Tree(40, (Level(40),)), 4, "f32", ("sum",))
    wafer = find_machine("wse3")
    found = judged(point, mechanisms(wafer, sums=True), wafer)
    assert abs(found.error) < 0.2
    assert judged(point, wafer, wafer).closed > found.closed + 40 / 2 * 0.9 * wafer.link.step_software_cycles.value


def test_points_are_drawn_by_a_seed_within_their_bounds() -> None:
    points = list(drawn(96, span=60))
    assert points == list(drawn(96, span=60)) != list(drawn(96, seed=1, span=60))
    assert {point.machine for point in points} == {"wse2", "wse3"}
    assert {point.wire for point in points} == {"f16", "f32"}
    assert {point.tree.slices for point in points} == {1, 2, 3, 4}
    assert {len(point.tree.levels) for point in points} == {1, 2, 3, 4}
    spans, elements = [point.tree.span for point in points], [point.elements for point in points]
    assert 3 <= min(spans) < 10 and 45 < max(spans) <= 60
    assert 1 <= min(elements) < 4 and 300 < max(elements) <= 512


def test_tables_have_a_line_a_kind_and_the_worst_first() -> None:
    found = [judgement.judge(point) for point in drawn(16, seed=5, span=24)]
    header, *lines = judged_table(found)
    assert [line[0] for line in lines] == [*ALIKE, "all"] and len(header) == len(lines[0])
    assert [line[1] for line in lines] == ["2"] * len(ALIKE) + ["16"]
    errors = [abs(float(line[4].strip("%+"))) for line in worst_table(found)[1:]]
    assert len(errors) == 10 and errors == sorted(errors, reverse=True)


@pytest.mark.slow
def test_the_whole_sweep_stays_within_its_bounds() -> None:
    found = judgement.sweep()
    assert len(found) >= 300
    spread = judgement.Spread.of([each.wires.error for each in found])
    assert spread.low > -0.45 and spread.high < 0.45 and abs(spread.mean) < 0.1


def test_sums_of_a_chunk_are_as_long_as_its_tokens_but_at_the_end():
    options = Options(Bounds(1, 32), chunk=6, region=(12, 12), phase="prefill")
    program = compile_graph(build_config(DENSE), find_machine("toy-12x12"), options)
    single, chunk = (list(sums(program, tokens)) for tokens in (1, 6))
    assert {b.elements // a.elements for a, b in zip(single, chunk, strict=True)} == {1, 6}
    found = [on_wires(replace(each, machine="wse3")) for each in dict.fromkeys(chunk) if each.elements >= 6]
    assert sum(closed for closed, _ in found) == pytest.approx(sum(fabric for _, fabric in found), rel=0.25)
