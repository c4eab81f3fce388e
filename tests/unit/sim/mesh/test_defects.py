"""Programs around defects: executed where they lie, with the numbers of a whole wafer; a repair that lies shows."""

import numpy as np
import pytest
from msgspec.structs import replace
from support.defective import MACHINE, around, defects, whole
from support.mesh_models import forced, prompt, tiny

from undiced.core.errors import CompileError, UnsupportedError
from undiced.machine.repair import repair
from undiced.program import Rect
from undiced.program.wafer.program import Region
from undiced.sim.fabric.lower.lower import lower
from undiced.sim.mesh.executor import MeshExecutor
from undiced.sim.mesh.ground import Ground


def run(program, name="llama", tokens=8):
    return forced(MeshExecutor(program, tiny(name)[1].__getitem__), prompt(name, tokens))


@pytest.mark.parametrize(("name", "region"), [("llama", (8, 10)), ("gemma3", (4, 10))])
def test_a_program_around_defects_computes_what_it_computes_on_a_whole_wafer(name, region):
    placed = around(name=name, region=region)
    assert any(one.shifts for one in placed.individuals)
    np.testing.assert_array_equal(run(placed, name), run(whole(name, region), name))


@pytest.mark.parametrize("turned", [False, True])
def test_what_lies_on_a_dead_core_comes_back_as_no_number(turned):
    one = repair(defects(), MACHINE)
    sides = (5, 4) if turned else (4, 5)
    region = Region("r", 0, Rect(2, 1, 5, 4), (), turned)
    array = np.arange(20, dtype=np.float32).reshape(*sides, 1)
    np.testing.assert_array_equal(Ground(one, region).settled(array), array)
    lying = Ground(replace(one, shifts=()), region)
    assert lying.dead.any() and (np.isnan(lying.settled(array))[..., 0] == lying.dead).all()
    assert np.isnan(lying.settled(array[:1])).sum() == lying.dead.sum(), "what all cores hold alike, too"


def test_a_core_that_dies_later_loses_what_it_holds():
    region = Region("r", 0, Rect(0, 0, 8, 10), ())
    ground = Ground(repair(defects(), MACHINE), region)
    x, y = int(ground.x[3, 4]), int(ground.y[3, 4])
    ground.kill(x, y)
    lost = np.isnan(ground.settled(np.ones((10, 8, 2), np.float32)))
    assert lost[3, 4].all() and lost.sum() == 2


def test_a_repair_that_lies_is_refused_by_the_rules():
    placed = around()
    one = placed.individuals[0]
    for broken, says in (
        (replace(one, shifts=one.shifts[1:]), "dead"),
        (replace(one, shifts=(*one.shifts[:-1], replace(one.shifts[-1], by=9))), "off the wafer|no link"),
        (replace(one, first=1), "are whole"),
        (replace(one, wafer=7), "no such wafer"),
        (replace(one, spares=(3, 3)), "spares"),
        (replace(one, shifts=(replace(one.shifts[0], stop=99),)), "no move"),
    ):
        with pytest.raises(CompileError, match=says) as told:
            run(replace(placed, individuals=(broken,)))
        assert told.value.remedy


def test_the_fabric_refuses_regions_around_defects_by_name():
    with pytest.raises(UnsupportedError, match="around defects of map a map"):
        lower(around(), 0, (0,), token=1, position=0, wafer=MACHINE)
