"""Instructions that follow tokens and positions: looked-up rows, rings of past positions, masks."""

import numpy as np
import pytest
from support.mesh_cores import batch, cores, execute, whole

from undiced.core.errors import InvalidRequestError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Dim, Shard
from undiced.program.wafer.value import Kind, Value

OVER_ROWS = (Shard(POSITION, 3, "cyclic"),)
TABLE = np.arange(7 * 4, dtype=np.float32).reshape(7, 4)


@pytest.mark.parametrize("order", ["block", "cyclic"])
def test_the_owner_of_a_row_sends_it_to_its_whole_line(order):
    table = Value("table", (Dim("row", 7), Dim("d", 4)), columns=(Shard("row", 3, order),), kind=Kind.WEIGHT)
    own, row = Value("own", (Dim("d", 4),)), Value("row", (Dim("d", 4),))
    made = cores(2, 3, (table, own, row), {"table": TABLE}, tokens=batch([6, 0, 3]))
    execute(made, isa.Lookup("n", "own", "table", "token"))
    assert np.isnan(made.read("own")).sum() == 2 * 2 * 3 * 4, "two of three cores of each line hold nothing"
    execute(made, isa.Multicast("n", "row", "own", isa.Line(Axis.COLUMNS, 3), "f32"))
    np.testing.assert_array_equal(whole(made, "row"), TABLE[[6, 0, 3]])


def test_a_row_beyond_the_table_is_refused():
    table = Value("table", (Dim("row", 7), Dim("d", 4)), columns=(Shard("row", 3),), kind=Kind.WEIGHT)
    made = cores(1, 3, (table, Value("own", (Dim("d", 4),))), {"table": TABLE}, tokens=batch([7]))
    with pytest.raises(InvalidRequestError, match="beyond the 7 rows"):
        execute(made, isa.Lookup("n", "own", "table", "token"))


def attended(size, window, chunk, steps, sequence_lengths=(0,)):
    """Which keys each token of the last step attends to, by position: what a cache of ones scores under the mask."""
    cache = Value("keys", (Dim("d", 1), Dim(POSITION, size)), rows=OVER_ROWS, kind=Kind.CACHE)
    key, query = Value("key", (Dim("d", 1),)), Value("query", (Dim("d", 1),))
    scores = Value("scores", (Dim(POSITION, size),), rows=OVER_ROWS)
    caches = None
    for positions in steps:
        step = batch([0] * len(positions), positions)
        made = cores(
            3, 2, (cache, key, query, scores),
            {"key": np.array(positions, np.float32)[:, None] + 1, "query": np.ones((len(positions), 1))}, tokens=step,
        )  # fmt: skip
        made.caches = caches = caches or made.caches
        execute(
            made,
            isa.Append("n", "keys", "key"),
            isa.Product("n", "query", ("keys",), ("scores",), (POSITION,)),
            isa.Mask("n", "scores", "scores", window, chunk, 0.0),
        )
    return [sorted(int(s) - 1 for s in row if s) for row in whole(made, "scores")]


def test_tokens_attend_to_all_positions_before_them():
    assert attended(8, 0, 0, [[0, 1, 2], [3, 4]]) == [[0, 1, 2, 3], [0, 1, 2, 3, 4]]


def test_a_ring_keeps_a_window():
    steps = [[0, 1], [2, 3], [4, 5], [6], [7], [8, 9]]
    assert attended(4, 3, 0, steps) == [[6, 7, 8], [7, 8, 9]]


def test_a_ring_keeps_an_aligned_chunk():
    assert attended(4, 0, 4, [[0, 1, 2], [3], [4], [5]]) == [[4, 5]]


def test_more_tokens_than_a_ring_has_room_for_are_refused():
    with pytest.raises(InvalidRequestError, match="fewer tokens of a sequence"):
        attended(4, 3, 0, [[0, 1, 2], [3, 4, 5]])
