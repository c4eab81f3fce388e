"""Instructions that look for the largest, take elements by index, or put them where they lie on the other axis."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mesh_cores import batch, cores, execute, whole

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Roots, Shard
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import Value


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 23), st.integers(1, 4), st.integers(2, 7), st.integers(0, 99))
def test_lists_joined_over_cores_are_the_largest_of_all(size, count, columns, seed):
    count = min(count, size)
    scores = np.random.default_rng(seed).integers(0, 6, (3, size)).astype(np.float32)  # equal ones too
    lists = (Dim("which", 2), Dim("count", count))
    values = (
        Value("scores", (Dim("expert", size),), columns=(Shard("expert", columns),)),
        Value("own", lists),
        Value("best", lists, columns=(Roots(columns, 0, whole=True),)),
        Value("all", lists),
    )
    tree = Tree(columns, (Level(columns),))
    made = cores(2, columns, values, {"scores": scores}, tokens=batch([0, 0, 0]), trees=(tree,))
    line = isa.Line(Axis.COLUMNS, columns)
    execute(
        made,
        isa.Select("n", "own", "scores"),
        isa.Reduce("n", "top", "best", "own", line, "f32"),
        isa.Multicast("n", "all", "best", line, "f32"),
    )
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    found = whole(made, "all")
    np.testing.assert_array_equal(found[:, 1], order)
    np.testing.assert_array_equal(found[:, 0], np.take_along_axis(scores, order, 1))


def test_marks_and_picks_follow_ids():
    values = (
        Value("ids", (Dim("choice", 2),)),
        Value("marks", (Dim("choice", 2), Dim("expert", 5)), columns=(Shard("expert", 3),)),
        Value("a", (Dim("expert", 5),)),
        Value("picked", (Dim("choice", 2),)),
    )
    made = cores(1, 3, values, {"ids": [[4, 1]], "a": [[10, 11, 12, 13, 14]]})
    execute(made, isa.Mark("n", "marks", "ids"), isa.Pick("n", "picked", "a", "ids", "expert"))
    assert whole(made, "marks")[0].tolist() == [[0, 0, 0, 0, 1], [0, 1, 0, 0, 0]]
    assert whole(made, "picked").tolist() == [[14, 11]]


def test_what_lies_over_columns_is_placed_over_rows():
    values = (
        Value("across", (Dim("d", 7),), columns=(Shard("d", 4),)),
        Value("down", (Dim("d", 7),), rows=(Shard("d", 3, "cyclic"),)),
    )
    made = cores(3, 4, values, {"across": np.arange(1, 8)[None]})
    execute(made, isa.Place("n", "down", "across", -1.0))
    placed = np.where(made.read("down") == -1, 0, made.read("down")).sum(axis=1, keepdims=True)
    made.keep("down", placed)
    assert whole(made, "down").tolist() == [[1, 2, 3, 4, 5, 6, 7]]
