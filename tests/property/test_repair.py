"""Repair of random small wafers, beside a search of all placements: sound, complete, least, and stable."""

from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from undiced.machine import toy
from undiced.machine.constant import assumed
from undiced.machine.defects import DefectMap
from undiced.machine.repair import UnrepairableError, repair
from undiced.machine.shifting import Broken, least
from undiced.machine.spares import spare_places
from undiced.program.wafer.individual import WAYS, Cut, homes


def machine(width, rows, spares):
    made = toy(width, rows)
    return replace(made, spares=replace(made.spares, columns=assumed(spares, "1", "a test", spares, spares)))


@st.composite
def wafers(draw, most_width=7, most_rows=4):
    """A machine and a map of it."""
    made = machine(draw(st.integers(1, most_width)), draw(st.integers(1, most_rows)), draw(st.integers(1, 3)))
    columns, rows = made.built
    places = st.tuples(st.integers(0, columns - 1), st.integers(0, rows - 1))
    cores = draw(st.sets(places, max_size=columns * rows // 3))
    ways = dict(WAYS)
    cuts = {
        Cut(x, y, way)
        for (x, y), way in draw(st.sets(st.tuples(places, st.sampled_from(sorted(ways))), max_size=4))
        if 0 <= x + ways[way][0] < columns and y + ways[way][1] < rows
    }
    return made, DefectMap("any", columns, rows, tuple(sorted(cores)), tuple(sorted(cuts)))


def joined(found, here, there):
    """Whether a whole link joins two physical cores, the second to the right of the first or below it."""
    step = there[0] - here[0], there[1] - here[1]
    names = [way for way, leads in WAYS.items() if leads == step]
    return bool(names) and Cut(*here, names[0]) not in found.links


def faults(found, rows):
    """What is wrong with physical columns of each logical core, row by row."""
    for y, row in enumerate(rows):
        for c, x in enumerate(row):
            if (x, y) in found.cores or not 0 <= x < found.columns:
                yield f"{c}, {y} lies on a defect"
            if c + 1 < len(row) and not joined(found, (x, y), (row[c + 1], y)):
                yield f"{c}, {y} has no link to the right"
            if y + 1 < len(rows) and not joined(found, (x, y), (rows[y + 1][c], y + 1)):
                yield f"{c}, {y} has no link down"


@settings(max_examples=60, deadline=None)
@given(wafers())
def test_no_core_lies_on_a_defect_and_all_neighbors_are_joined(drawn):
    made, found = drawn
    try:
        one = repair(found, made)
    except UnrepairableError as error:
        assert error.rows and error.remedy and all(f"row {row}" in error.message for row in error.rows[:8])
        return
    assert not list(faults(found, [one.row(y) for y in range(found.rows)]))


def placements(width, columns):
    """Every way to lay a row down: one or two columns from core to core."""

    def grown(row):
        if len(row) == width:
            yield row
            return
        for step in (1, 2):
            if row[-1] + step < columns:
                yield from grown((*row, row[-1] + step))

    for first in range(columns - width + 1):
        yield from grown((first,))


@settings(max_examples=30, deadline=None)
@given(wafers(most_width=4, most_rows=3))
def test_what_is_refused_has_no_placement_and_what_is_found_moves_least(drawn):
    """A straight link that is cut gives up its upper core, so those maps may have another placement."""
    made, found = drawn
    width = made.mesh.size[0]
    ways = [list(row) for row in placements(width, found.columns)]
    able = [list(rows) for rows in product(ways, repeat=found.rows) if not any(faults(found, rows))]
    home = repair(DefectMap("whole", found.columns, found.rows), made).row(0)
    able = [rows for rows in able if all(x >= at for row in rows for x, at in zip(row, home, strict=True))]
    straight = any(cut.way == "south" for cut in found.links)
    try:
        one = repair(found, made)
    except UnrepairableError:
        assert straight or not able
        return
    rows = [one.row(y) for y in range(found.rows)]
    assert rows in able
    if not straight:
        assert all(
            x <= other
            for way in able
            for row, o in zip(rows, way, strict=True)
            for x, other in zip(row, o, strict=True)
        )


@settings(max_examples=40, deadline=None)
@given(wafers(), st.integers(1, 3))
def test_spares_that_are_added_at_the_end_of_rows_change_nothing(drawn, more):
    made, found = drawn
    width, spares = made.mesh.size[0], made.spares.count
    home = np.array(homes(width, spare_places(width, spares)), dtype=np.int16) - np.arange(width, dtype=np.int16)
    flags = {name: np.zeros((1, found.rows, found.columns), dtype=bool) for name in Broken.__slots__}
    for x, y in found.cores:
        flags["dead"][0, y, x] = True
    wider = {name: np.pad(each, ((0, 0), (0, 0), (0, more))) for name, each in flags.items()}
    before, failed = least(home[None, None], Broken(**flags), spares)
    after, failed_still = least(home[None, None], Broken(**wider), spares + more)
    if not failed[0]:
        assert not failed_still[0] and (before == after).all()
