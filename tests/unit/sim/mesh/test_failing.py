"""A core that fails in the middle of a text is seen, passed, and leaves no trace in the tokens."""

import numpy as np
import pytest
from msgspec.structs import replace as with_fields
from support.defective import MACHINE, around, defects
from support.mesh_models import prompt, tiny

from undiced.machine.repair import UnrepairableError
from undiced.program.wafer.step import Step
from undiced.sim.clock import time_step
from undiced.sim.mesh.executor import MeshExecutor
from undiced.sim.mesh.failing import CoreFailureError, Failure
from undiced.sim.mesh.roll_call import answers, roll_call
from undiced.study.recovery import check_cycles, lost, moved_cores, recovered

PLACED, TOKENS, AT = around(), prompt("llama", 6), 200
TURNED = with_fields(PLACED, regions=(with_fields(PLACED.regions[0], turned=True),))


def executor(program, failing):
    return MeshExecutor(program, tiny("llama")[1].__getitem__, "fp32", None, failing)


def place(row, column):
    """Where a logical core lies."""
    return PLACED.individuals[0].row(row)[column], row


@pytest.mark.parametrize("kind", ["silent", "corrupt"])
def test_a_core_that_fails_is_seen_and_passed_and_tokens_stay(kind):
    wanted = executor(PLACED, lambda: None).step([(0, TOKENS)])
    x, y = place(6, 3)
    failure, sums = Failure(0, x, y, kind), []

    def failing():
        sums.append(None)
        return failure if len(sums) > 9 else None

    with pytest.raises(CoreFailureError, match="does not answer" if kind == "silent" else "does not add up") as told:
        executor(PLACED, failing).step([(0, TOKENS)])
    assert told.value.remedy and told.value.lines and set(told.value.lines) <= {6, 3}
    core = answers(PLACED, told.value.region, failure)
    assert core == ((x, y),), "found without being told"
    after = recovered(PLACED, MACHINE, 0, core)
    assert (x, y) in after.individuals[0].dead and after.individuals[0].map.endswith("worn")
    found = executor(after, lambda: None).step([(0, TOKENS)])
    assert found.tokens == wanted.tokens
    np.testing.assert_array_equal(found.logits, wanted.logits)
    took = lost(PLACED, after, MACHINE, [len(TOKENS)], told.value.region, kind == "silent")
    assert took.locate_s > MACHINE.system.launch_s.value and took.total_s > took.locate_s + took.rebuild_s
    assert 0 < moved_cores(PLACED, after) <= 8 and took.total_s > took.rebuild_s > 0
    assert check_cycles(PLACED, MACHINE, len(TOKENS)) > 0


def test_a_failure_that_no_spare_helps_is_refused_by_row():
    x, y = place(0, 2)  # the core that took over from the dead one at its left
    with pytest.raises(UnrepairableError, match="row 0"):
        recovered(PLACED, MACHINE, 0, ((x, y),))


@pytest.mark.parametrize("kind", ["silent", "corrupt"])
@pytest.mark.parametrize("program", [PLACED, TURNED], ids=["upright", "turned"])
def test_a_roll_call_finds_any_core(kind, program):
    one, grid = program.individuals[0], program.regions[0].rect
    for row in range(grid.y, grid.y + grid.height):
        for x in one.row(row)[grid.x : grid.x + grid.width]:
            assert answers(program, 0, Failure(0, x, row, kind)) == ((x, row),)


def test_a_roll_call_of_the_second_wafer_is_its_own():
    one, region = PLACED.individuals[0], PLACED.regions[0]
    both = with_fields(
        PLACED,
        regions=(region, with_fields(region, name="1", wafer=1)),
        individuals=(one, with_fields(one, wafer=1)),
    )
    x, y = place(6, 3)
    assert answers(both, 1, Failure(1, x, y, "corrupt")) == ((x, y),)
    assert answers(both, 0, Failure(1, x, y, "corrupt")) == ()
    assert time_step(roll_call(both, 1), MACHINE, Step(1, 1, 1)).token_cycles > 0


def test_a_roll_call_finds_nobody_where_nobody_fails():
    dead, other = defects().cores[0], place(6, 3)
    for failure in (None, Failure(0, *dead, "silent"), Failure(1, *other, "silent")):
        assert answers(PLACED, 0, failure) == ()


def test_a_roll_call_is_a_program_and_takes_a_small_part_of_a_token():
    cycles = time_step(roll_call(PLACED, 0), MACHINE, Step(1, 1, 1)).token_cycles
    assert 0 < cycles < time_step(PLACED, MACHINE, Step(1, 1, 8)).token_cycles
