"""Pictures and pages show what the atlas holds: every region once, labels within them, nothing from anywhere else."""

import re
from xml.etree import ElementTree

import pytest
from support.atlases import MADE, mapped

from undiced.draw.lettering import text_width
from undiced.sim.views.page import page
from undiced.sim.views.picture import VIEWS, panel, picture
from undiced.sim.views.table import Column, Table

EVERY = pytest.mark.parametrize("name", sorted(MADE))
SVG = "{http://www.w3.org/2000/svg}"
REGIONAL = ("layers", "time", "sram", "traffic")


def drawn(name, show):
    return ElementTree.fromstring(picture(mapped(name), show).document())


def box(shape):
    x, y, width, height = (float(shape.get(side, 0)) for side in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def line(text):
    """The rectangle of a line of letters, by the font that comes along."""
    size, x, y = (float(text.get(each)) for each in ("font-size", "x", "y"))
    width = text_width(text.text, size)
    left = {"start": x, "middle": x - width / 2, "end": x - width}[text.get("text-anchor")]
    return left, y - 0.76 * size, left + width, y + 0.24 * size


def inside(small, large, slack=0.2):
    return (
        small[0] >= large[0] - slack
        and small[1] >= large[1] - slack
        and small[2] <= large[2] + slack
        and small[3] <= large[3] + slack
    )


@EVERY
@pytest.mark.parametrize("show", REGIONAL)
def test_every_region_is_drawn_and_its_words_stay_within_it(name, show):
    root = drawn(name, show)
    groups = root.findall(f".//{SVG}g[@class='place']")
    assert sorted(int(group.get("data-place")) for group in groups) == list(range(len(mapped(name).places)))
    for group in groups:
        region = box(group.find(f"{SVG}rect"))
        assert group.find(f"{SVG}title").text.startswith("region ")
        for text in group.findall(f"{SVG}text"):
            assert inside(line(text), region), text.text
        for rect in group.findall(f"{SVG}rect"):
            assert inside(box(rect), region)


@EVERY
@pytest.mark.parametrize("show", VIEWS)
def test_nothing_leaves_the_paper(name, show):
    root = drawn(name, show)
    paper = 0.0, 0.0, float(root.get("width")), float(root.get("height"))
    assert paper[2] <= 1280
    for text in root.iter(f"{SVG}text"):
        assert inside(line(text), paper), text.text
    for rect in root.iter(f"{SVG}rect"):
        assert inside(box(rect), paper, slack=2.5)


@EVERY
def test_the_bottleneck_is_framed_and_named(name):
    found = mapped(name)
    names = [found.places[number].name for number in found.bottlenecks]
    for show in ("time", "timeline"):
        root = drawn(name, show)
        assert len(root.findall(f".//{SVG}rect[@class='alarm-line']")) == len(names) + (
            show == "time"
        )  # the legend's too
    words = "".join(drawn(name, "time").itertext())
    assert f"bottleneck, which sets the initiation interval: region{'s' * (len(names) > 1)} {', '.join(names)}" in words


@pytest.mark.parametrize("show", VIEWS)
def test_what_does_not_fit_is_stamped(show):
    words = " ".join(drawn("waferllm", show).itertext())
    assert "Does not fit" in words and "--layers 6" in words and "--mapping undiced" in words
    assert "Does not fit" not in " ".join(drawn("one wafer", show).itertext())


def test_the_page_takes_nothing_from_outside():
    text = page(mapped("several wafers"), "time")
    assert re.findall(r"\b(?:src|href|srcset|poster)=|url\(|@import|\bfetch\b|XMLHttpRequest", text) == []
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text and "unsafe" not in text and ' style="' not in text
    assert re.search(r'aria-controls="view-time" aria-selected="true"', text)


@EVERY
def test_the_page_has_every_view_with_a_table_of_all_places(name):
    text = page(mapped(name), "layers")
    assert text.count('role="tabpanel"') == text.count('role="tab" ') == len(VIEWS)
    for show, view in VIEWS.items():
        section = text.split(f'id="view-{show}"')[1].split("</section>")[0]
        rows = re.findall(r"<tr data-place=", section)
        assert len(rows) == len(view.table(mapped(name)).rows)
        assert "<svg" in section and panel(mapped(name), show).width <= 1200


def test_names_out_of_files_are_words_and_nothing_more():
    from dataclasses import replace

    evil = replace(mapped("waferengine"), model="<script>alert(1)</script>\x1b[31m", machine='"><img src=x>')
    text = page(evil, "layers")
    assert text.count("<script") == 1 and "<img" not in text and "\x1b" not in text
    ElementTree.fromstring(picture(evil, "time").document())


def test_a_table_tells_figures_as_people_read_them():
    table = Table(
        (Column("region"), Column("cycles", ",.0f"), Column("share", ".1%")), ((0, ("7", 1234.5, 0.25)),), (0, 2)
    )
    assert table.line(0) == ("7", "25.0%")
    assert table.columns[1].spelled(1234.5) == "1,234"


def test_wafers_that_stay_empty_are_told_and_not_drawn():
    from dataclasses import replace

    words = " ".join(
        ElementTree.fromstring(picture(replace(mapped("one wafer"), wafers_given=3), "layers").document()).itertext()
    )
    assert "3 wafers given, 1 used: 2 stay empty" in words and "wafer 1" not in words
