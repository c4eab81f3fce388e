"""The view of link loads shows what was counted: in regions that are alike alone, and each collective by itself."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
from support.atlases import linked, mapped

from undiced.draw.cells import LEVELS
from undiced.draw.color import ramp
from undiced.sim.views.film import film
from undiced.sim.views.links import table
from undiced.sim.views.load import pooled
from undiced.sim.views.page import page
from undiced.sim.views.picture import PANEL_TOP, picture, shown
from undiced.sim.views.sheet import PAGE

SVG = "{http://www.w3.org/2000/svg}"
NAME = "several wafers"


def drawn(atlas):
    return ElementTree.fromstring(picture(atlas, "links").document())


def test_regions_that_are_alike_are_hot_and_others_are_bare():
    some = replace(linked(NAME), links=replace(linked(NAME).links, alike=(0, 2)))
    root = drawn(some)
    for group in root.findall(f".//{SVG}g[@class='place']"):
        number = int(group.get("data-place"))
        told = group.find(f"{SVG}title").text.split("; ")[-1]
        assert bool(group.findall(f"{SVG}g/{SVG}path")) == (number in (0, 2))
        assert told == ("simulated, for layer 0", "not simulated", "alike to the one that was simulated")[number]
    words = " ".join(root.itertext())
    assert "simulated: layer 0 in region 0" in words and "1 more alike" in words
    assert "not simulated: 1 of other shape or code" in words and "Simulated, not measured" in words


def test_each_collective_has_a_map_with_the_most_that_a_link_carried():
    root, carried = drawn(linked(NAME)), linked(NAME).links.links.carried
    small = [g for g in root.iter(f"{SVG}g") if g.get("transform") and not g.findall(f"{SVG}g")]
    assert len(small) == 3 + len(carried)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    for group, one in zip(small[3:], carried, strict=True):
        links = one.loads[:, :, 1:].max(axis=2)
        hottest = {p.get("fill"): p.get("d") for p in group.findall(f"{SVG}path")}[ramp((LEVELS - 0.5) / LEVELS)]
        y, x = np.argwhere(links == links.max())[0]
        boxes = [tuple(map(float, box)) for box in re.findall(r"M(\d+) (\d+)h([\d.]+)v([\d.]+)", hottest)]
        assert any(left <= x < left + wide and top <= y < top + high for left, top, wide, high in boxes)
        assert any(text.startswith(f"{links.max():,} at most, ") for text in texts)


def test_the_table_counts_every_wavelet_once():
    carried = linked(NAME).links.links.carried
    first, *others = (cells for _, cells in table(linked(NAME)).rows)
    assert first[0] == "all collectives" and first[3] == sum(each[3] for each in others)
    for cells, one in zip(others, carried, strict=True):
        assert cells[1] == one.value and cells[3] == one.loads[:, :, 1:].sum()
        assert cells[4] == one.loads[:, :, 1:].max() and cells[-1] == one.cycles


def unpacked(found):
    rows, order = found
    lines = [[v for v, n in zip(row[::2], row[1::2], strict=True) for _ in range(n)] for row in rows]
    return np.array([lines[v] for v, n in zip(order[::2], order[1::2], strict=True) for _ in range(n)])


def test_a_page_has_the_cells_of_every_collective_and_way():
    atlas = linked(NAME)
    heat = film(atlas, PAGE, PANEL_TOP)["heat"]
    assert film(mapped(NAME), PAGE, PANEL_TOP)["heat"] is None and "links" not in shown(mapped(NAME))
    all_loads = [atlas.links.links.loads, *(each.loads for each in atlas.links.links.carried)]
    assert heat["ways"] == ["north", "south", "east", "west", "core"] and heat["block"] == 1
    for entry, loads in zip(heat["entries"], all_loads, strict=True):
        for way, port in enumerate((1, 2, 3, 4, 0)):
            assert np.array_equal(unpacked(entry["maps"][way]), pooled(loads[:, :, port], 256)[1])
    made = {(stream, deed.made) for stream, found in enumerate(atlas.deeds) for deed in found}
    assert all((entry["deed"][0], entry["value"]) in made for entry in heat["entries"][1:])
    text = page(atlas, "links")
    assert 'id="view-links"' in text and 'id="view-links"' not in page(mapped(NAME), "layers")
