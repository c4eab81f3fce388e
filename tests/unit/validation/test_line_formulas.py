"""The published line formulas against the values that the paper's model gives at 512 cores."""

import pytest
from support.line_formulas import (
    broadcast_line,
    broadcast_mesh,
    chain_reduce,
    reduce_bound,
    ring_allreduce,
    star_reduce,
    tree_reduce,
    two_phase_reduce,
)

FORMULAS = (star_reduce, chain_reduce, tree_reduce, two_phase_reduce, broadcast_line)


@pytest.mark.parametrize(
    ("wavelets", "values"),
    [
        (1, (516, 3067, 561, 729, 517)),
        (16, (8181, 3082, 628, 758, 532)),
        (64, (32709, 3130, 845, 850, 580)),
        (256, (130821, 3322, 2349, 1218, 772)),
        (1024, (523269, 4090, 9261, 2689, 1540)),
    ],
)
def test_formulas_at_512_cores(wavelets, values):
    assert tuple(round(formula(wavelets, 512)) for formula in FORMULAS) == values


@pytest.mark.parametrize("wavelets", [16, 256, 4096])
@pytest.mark.parametrize("cores", [4, 64, 512])
def test_no_reduction_beats_the_bound(wavelets, cores):
    bound = reduce_bound(wavelets, 1, cores)
    assert all(
        formula(wavelets, cores) >= bound for formula in (star_reduce, chain_reduce, tree_reduce, two_phase_reduce)
    )


def test_mesh_broadcast_and_ring():
    assert broadcast_mesh(10, 4, 6) == 10 + 4 + 6 - 2 + 5
    assert ring_allreduce(8, 8) == 2 * 7 * 8 / 8 + 4 * 8 - 6 + 2 * 7 * 5
