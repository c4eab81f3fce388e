"""A core that fails in the middle of a text is seen, passed, and leaves no trace in the tokens."""

import numpy as np
import pytest
from support.defective import MACHINE, around
from support.mesh_models import prompt, tiny

from undiced.machine.repair import UnrepairableError
from undiced.sim.mesh.executor import MeshExecutor
from undiced.sim.mesh.failing import CoreFailureError, Failure
from undiced.study.recovery import check_cycles, lost, moved_cores, recovered

PLACED, TOKENS, AT = around(), prompt("llama", 6), 200


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
    after = recovered(PLACED, MACHINE, failure)
    assert (x, y) in after.individuals[0].dead and after.individuals[0].map.endswith("worn")
    found = executor(after, lambda: None).step([(0, TOKENS)])
    assert found.tokens == wanted.tokens
    np.testing.assert_array_equal(found.logits, wanted.logits)
    took = lost(PLACED, after, MACHINE, len(TOKENS), kind == "silent")
    assert 0 < moved_cores(PLACED, after) <= 8 and took.total_s > took.rebuild_s > 0
    assert check_cycles(PLACED, MACHINE, len(TOKENS)) > 0


def test_a_failure_that_no_spare_helps_is_refused_by_row():
    x, y = place(0, 2)  # the core that took over from the dead one at its left
    with pytest.raises(UnrepairableError, match="row 0"):
        recovered(PLACED, MACHINE, Failure(0, x, y, "silent"))
