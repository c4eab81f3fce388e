"""Spare cores: rectangles that a program leaves free, and the machine that one of them is."""

from itertools import product
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from undiced.machine import find_machine
from undiced.program import Rect
from undiced.study.spare_cores import part_of, spare_cores, vacant

SIDE = 7
RECTS = st.builds(
    lambda x, y, width, height: Rect(x, y, min(width, SIDE - x), min(height, SIDE - y)),
    *(st.integers(0, SIDE - 1) for _ in range(2)),
    *(st.integers(1, SIDE) for _ in range(2)),
)


def every_free(taken):
    """All rectangles of the mesh that meet none, by trying each."""
    spans = [(a, b) for a, b in product(range(SIDE + 1), repeat=2) if a < b]
    cores = {(x, y) for r in taken for x in range(r.x, r.x + r.width) for y in range(r.y, r.y + r.height)}
    for (x, right), (y, bottom) in product(spans, repeat=2):
        if not any(each in cores for each in product(range(x, right), range(y, bottom))):
            yield Rect(x, y, right - x, bottom - y)


@settings(max_examples=25, deadline=None)
@given(st.lists(RECTS, max_size=3))
def test_the_largest_free_rectangles_are_those_that_no_other_holds(taken):
    free = set(every_free(taken))

    def inside(small, large):
        return small != large and all(
            a >= b and a + size <= b + wide
            for a, size, b, wide in (
                (small.x, small.width, large.x, large.width),
                (small.y, small.height, large.y, large.height),
            )
        )

    wanted = {rect for rect in free if not any(inside(rect, other) for other in free)}
    found = vacant(Rect(0, 0, SIDE, SIDE), taken)
    assert set(found) == wanted and len(found) == len(wanted)


def test_spare_cores_are_those_of_every_wafer_the_largest_first():
    wafer = find_machine("toy-10x8")
    regions = [SimpleNamespace(wafer=0, rect=Rect(0, 0, 10, 6)), SimpleNamespace(wafer=1, rect=Rect(0, 0, 4, 8))]
    program = SimpleNamespace(wafers=2, regions=regions)
    found = spare_cores(program, wafer)
    assert [(spare.wafer, spare.rect) for spare in found] == [(1, Rect(4, 0, 6, 8)), (0, Rect(0, 6, 10, 2))]
    part = part_of(wafer, found[0].rect)
    assert part.mesh.size == (6, 8) and part.digest != wafer.digest and part.core == wafer.core
