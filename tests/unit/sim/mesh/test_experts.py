"""Products with stacks of experts that groups of cores share out: each works on the choices whose experts it has."""

import numpy as np
import pytest
from support.mesh_cores import batch, cores, execute

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Dim, Keeper, Partial, Shard
from undiced.program.wafer.value import Kind, Value

CHOICE, EXPERT, IN, OUT = Dim("choice", 2), Dim("expert", 5), Dim("in", 3), Dim("out", 4)
IDS = [[4, 1], [0, 2]]  # of two tokens; the three columns have experts 0 and 1, 2 and 3, 4


def region(*values, **arrays):
    """Two rows of three columns over which the experts of `stack` lie, and the choices of two tokens."""
    stack = Value("stack", (EXPERT, IN, OUT), columns=(Shard("expert", 3),), kind=Kind.WEIGHT)
    random = np.random.default_rng(0)
    arrays = {"ids": IDS, "stack": random.standard_normal((5, 3, 4)).astype(np.float32), **arrays}
    made = cores(2, 3, (Value("ids", (CHOICE,)), stack, *values), arrays, tokens=batch([0, 0]))
    return made, arrays["stack"]


def test_what_is_made_of_a_choice_is_where_its_expert_is():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    over = (Keeper("ids", 3, 2),)
    made, stack = region(Value("x", (IN,)), Value("y", (CHOICE, OUT), columns=over), x=x)
    execute(made, isa.Product("n", "x", ("stack",), ("y",), ("out",), expert="ids"))
    y = np.broadcast_to(made.read("y"), (2, 3, 2, 2, 4))
    for token, choices in enumerate(IDS):
        for choice, expert in enumerate(choices):
            for column in range(3):
                if column == expert // 2:
                    np.testing.assert_allclose(y[0, column, token, choice], x[token] @ stack[expert], rtol=1e-6)
                else:
                    assert np.isnan(y[:, column, token, choice]).all()


@pytest.mark.parametrize("order", [(CHOICE, IN), (IN, CHOICE)])
def test_a_sum_over_choices_has_the_terms_of_a_cores_experts_and_reads_no_other(order):
    random = np.random.default_rng(1)
    x = random.standard_normal((2, *(dim.size for dim in order))).astype(np.float32)
    kept = Value("x", order, columns=(Keeper("ids", 3, 2),))
    made, stack = region(kept, Value("y", (OUT,), columns=(Partial("sum", 3),)), x=x)
    held = np.array(np.broadcast_to(made.read("x"), (2, 3, *x.shape)))
    at = held if order == (CHOICE, IN) else held.swapaxes(-1, -2)
    for token, choices in enumerate(IDS):
        for choice, expert in enumerate(choices):
            elsewhere = [column for column in range(3) if column != expert // 2]
            at[:, elsewhere, token, choice] = np.nan
    made.keep("x", held)
    execute(made, isa.Product("n", "x", ("stack",), ("y",), ("out",), expert="ids"))
    whole = x if order == (CHOICE, IN) else x.swapaxes(1, 2)
    wanted = [sum(whole[t, c] @ stack[e] for c, e in enumerate(choices)) for t, choices in enumerate(IDS)]
    np.testing.assert_allclose(made.read("y").sum(axis=1)[0], wanted, rtol=1e-5)
