"""Heat maps of links show what was counted: the hottest cell where it is, nothing where nothing passed, few shapes."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from undiced.draw.cells import LEVELS, level
from undiced.draw.color import ramp
from undiced.draw.lettering import text_width
from undiced.sim.fabric.routes import Port
from undiced.sim.views.load import Busiest, load

SVG = "{http://www.w3.org/2000/svg}"


def empty(width, height):
    return np.zeros((height, width, 5), np.uint32)


def drawn(loads, cycles=1000):
    canvas = load(loads, cycles, "a layer", ("of a test",))
    return canvas, ElementTree.fromstring(canvas.document())


def maps(root):
    """Of each map: its cells' rectangles in units of cells, by color, and pixels a cell."""
    found = []
    for group in root.iter(f"{SVG}g"):
        unit = [float(n) for n in re.findall(r"[\d.]+", group.get("transform"))]
        paths = {}
        for path in group.findall(f"{SVG}path"):
            boxes = re.findall(r"M(\d+) (\d+)h([\d.]+)v([\d.]+)", path.get("d"))
            paths[path.get("fill")] = [tuple(map(float, box)) for box in boxes]
        found.append((unit, paths))
    return found


HOTTEST = ramp((LEVELS - 0.5) / LEVELS)


def test_the_busiest_link_is_found_told_and_ringed():
    loads = empty(30, 20)
    loads[5:15, 3:9, Port.SOUTH] = 10
    loads[12, 7, Port.WEST] = 400
    loads[2, 2, Port.CORE] = 399
    canvas, root = drawn(loads)
    assert Busiest.of(loads) == Busiest(7, 12, Port.WEST, 400)
    words = " ".join(root.itertext())
    assert "from (7, 12) to the west, 400 wavelets, 40.0% of 1,000 cycles" in words
    assert "Simulated, not measured" in words and "A cell stands for" not in words
    rings = [c for c in root.iter(f"{SVG}circle") if c.get("class") == "alarm-line"]
    assert len(rings) == 2, "in the large map and in its way's"
    (left, top, unit, _), cells = maps(root)[0]
    assert cells[HOTTEST] == [(7, 12, 1, 1)]
    assert float(rings[0].get("cx")) == pytest.approx(left + 7.5 * unit, abs=0.1)
    assert float(rings[0].get("cy")) == pytest.approx(top + 12.5 * unit, abs=0.1)
    assert canvas.width <= 1200


def test_each_way_has_a_map_on_the_same_scale():
    loads = empty(8, 6)
    for port in Port:
        loads[1 + port // 2, port, port] = 10 * (1 + port)
    found = [cells for _, cells in maps(drawn(loads)[1])]
    assert len(found) == 6
    for cells, port in zip(found[1:], (Port.NORTH, Port.SOUTH, Port.EAST, Port.WEST, Port.CORE), strict=True):
        shade = ramp((level(10 * (1 + port) / 50) + 0.5) / LEVELS)
        assert cells == {shade: [(port, 1 + port // 2, 1, 1)]}


def test_links_that_carry_nothing_are_bare_and_any_wavelet_shows():
    _, root = drawn(empty(40, 10), cycles=0)
    assert all(cells == {} for _, cells in maps(root)) and "Busiest link" not in " ".join(root.itertext())
    assert level(0) == -1 and level(1e-9) == 0 and level(1) == LEVELS - 1
    loads = empty(40, 10)
    loads[0, 0, Port.EAST], loads[9, 39, Port.EAST] = 1, 1_000_000
    cells = maps(drawn(loads)[1])[0][1]
    assert [(0, 0, 1, 1)] in cells.values()


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (16, 1), (755, 1170), (401, 3)])
def test_a_mesh_of_any_shape_is_a_small_file_with_every_hot_spot(shape):
    width, height = shape
    rng = np.random.default_rng(1)
    loads = np.minimum(rng.integers(0, 200, (height, width, 5)), 190).astype(np.uint32)
    loads[height - 1, width - 1, Port.NORTH] = 1000
    canvas, root = drawn(loads)
    assert len(canvas.document()) < 1_000_000
    _, cells = maps(root)[0]
    block = -(-max(shape) // 200)
    ((x, y, *_),) = cells[HOTTEST]
    assert (x, y) == ((width - 1) // block, (height - 1) // block), "the hottest one is not averaged away"
    paper = float(root.get("width")), float(root.get("height"))
    for text in root.iter(f"{SVG}text"):
        wide, x = text_width(text.text, float(text.get("font-size"))), float(text.get("x"))
        assert x + wide * {"start": 1, "middle": 0.5, "end": 0}[text.get("text-anchor")] <= paper[0], text.text
    for (left, top, across, down), cells in maps(root):
        for x, y, wide, high in (box for boxes in cells.values() for box in boxes):
            assert left + (x + wide) * across <= paper[0] and top + (y + high) * down <= paper[1]


def test_amounts_that_are_larger_than_a_counter_are_added_up():
    loads = empty(2, 2)
    loads[...] = 2**32 - 1
    assert f"{16 * (2**32 - 1):,} wavelets passed" in " ".join(drawn(loads)[1].itertext())
