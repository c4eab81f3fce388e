"""Pictures and pages show what the atlas holds: every region once, labels within them, nothing from anywhere else."""

import json
import re
from fractions import Fraction
from xml.etree import ElementTree

import pytest
from support.atlases import MADE, linked, made, mapped

from undiced.draw.lettering import Box, text_width
from undiced.sim.atlas.atlas import atlas
from undiced.sim.atlas.deeds import WIRES, Who
from undiced.sim.views.bricks import Grid
from undiced.sim.views.film import film
from undiced.sim.views.layers import blocks, rows
from undiced.sim.views.page import page
from undiced.sim.views.picture import PANEL_TOP, VIEWS, panel, picture
from undiced.sim.views.sheet import PAGE
from undiced.sim.views.table import Column, Table
from undiced.sim.views.trees import lens

EVERY = pytest.mark.parametrize("name", sorted(MADE))
SVG = "{http://www.w3.org/2000/svg}"
ALWAYS = [show for show in VIEWS if show != "links"]
PAIRS = [*((name, show) for name in sorted(MADE) for show in ALWAYS), ("several wafers", "links")]
REGIONAL = [(name, show) for name, show in PAIRS if VIEWS[show].regional]


def drawn(name, show):
    found = linked(name) if show == "links" else mapped(name)
    return ElementTree.fromstring(picture(found, show).document())


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


@pytest.mark.parametrize(("name", "show"), REGIONAL)
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


@pytest.mark.parametrize(("name", "show"), PAIRS)
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


@pytest.mark.parametrize("show", ALWAYS)
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
    assert text.count('role="tabpanel"') == text.count('role="tab" ') == len(ALWAYS)
    for show, view in ((show, VIEWS[show]) for show in ALWAYS):
        section = text.split(f'id="view-{show}"')[1].split("</section>")[0]
        rows = re.findall(r"<tr data-place=", section)
        assert len(rows) == len(view.table(mapped(name)).rows)
        assert "<svg" in section and panel(mapped(name), show).width <= 1200


def test_names_out_of_files_are_words_and_nothing_more():
    from dataclasses import replace

    evil = replace(mapped("waferengine"), model="<script>alert(1)</script>\x1b[31m", machine='"><img src=x>')
    text = page(evil, "layers")
    assert text.count("<script") == 2 and "<img" not in text and "\x1b" not in text
    odd = replace(mapped("waferengine").places[0], name="</script><b>")
    text = page(replace(evil, places=(odd, *evil.places[1:])), "layers")
    assert text.count("</script>") == 2 and "<b>" not in text and "\\u003c/script>" in text
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


@EVERY
def test_rows_of_layers_cover_every_block_once_and_in_order(name):
    found, ends = mapped(name), {}
    for place in rows(found):
        for each in place:
            for cell in each.cells:
                number = blocks(found)[int(each.name)].index(cell.role) if each.name.isdigit() else 0
                length = Fraction(1, len(blocks(found)[int(each.name)])) if each.name.isdigit() else 1
                assert cell.start == ends.get((each.name, cell.role), number * length), "where the one before ended"
                ends[each.name, cell.role] = cell.start + cell.length
                assert ends[each.name, cell.role] <= (number + 1) * length
    for layer, parts in blocks(found).items():
        for number, role in enumerate(parts):
            assert ends[str(layer), role] == Fraction(number + 1, len(parts))


def test_parts_of_a_shared_block_lie_side_by_side():
    first, second = rows(mapped("one wafer"))[:2]
    assert [(each.name, *((cell.start, cell.length) for cell in each.cells)) for each in (first[-1], second[0])] == [
        ("2", (0, Fraction(1, 2)), (Fraction(1, 2), Fraction(3, 8))),
        ("2", (Fraction(7, 8), Fraction(1, 8))),
    ]


def test_rows_fit_into_any_box():
    for count in (0, 1, 5, 40, 200):
        for width, height in ((10, 10), (30, 300), (300, 30), (900, 500)):
            where = Box(3, 4, width, height)
            boxes = list(Grid.of(count, where).boxes(count, where))
            assert len(boxes) == count
            for one in boxes:
                assert one.width > 0 and one.height > 0
                assert one.x + one.width <= 3 + width + 1e-6 and one.y + one.height <= 4 + height + 1e-6


@EVERY
def test_every_region_has_a_lens_on_its_trees(name):
    found = list(lens(mapped(name), 60.0))
    assert sorted(n for _, places in found for n in places) == list(range(len(mapped(name).places)))
    for canvas, _ in found:
        root = ElementTree.fromstring(canvas.document())
        assert canvas.width <= 300 and all(float(rect.get("width")) >= 0 for rect in root.iter(f"{SVG}rect"))


@EVERY
def test_trees_end_at_lines_through_the_region_where_their_roots_are(name):
    root = drawn(name, "trees")
    found = mapped(name)
    used = {deed.tree for deeds in found.deeds for deed in deeds if deed.tree >= 0 and str(deed.who) == "sums"}
    groups = root.findall(f".//{SVG}g[@class='tree']")
    assert {int(group.get("data-tree")) for group in groups} == used
    kinds = len({(place.rect.width, place.rect.height) for place in found.places})
    for group in groups:
        tree = found.trees[int(group.get("data-tree"))]
        levels = group.findall(f"{SVG}g[@class='level']")
        assert len(levels) == len(tree.levels)
        through = [shape for shape in group.findall(f"{SVG}polyline") if shape.get("stroke-width") == "1.2"]
        assert len(through) % tree.slices == 0 and through
        dots = re.findall(r"M([\d.]+) ([\d.]+)L\1 \2", levels[-1].findall(f"{SVG}path")[1].get("d"))
        ends = [shape.get("points").split() for shape in through[:: tree.slices]]
        assert len(dots) == len(ends), "the last level has one root on each stretch, where its line begins"
        for (x, y), (start, _) in zip(dots, ends, strict=True):
            at = start.split(",")
            assert float(x) == pytest.approx(float(at[0]), abs=0.2) or float(y) == pytest.approx(float(at[1]), abs=0.2)
    assert len(groups) >= kinds * (len(used) > 0)


@EVERY
def test_the_film_is_the_atlas_and_lies_on_what_is_drawn(name):
    found = mapped(name)
    shown = json.loads(json.dumps(film(found, PAGE, PANEL_TOP)))
    assert sum(cycles for *_, cycles in shown["turns"]) == pytest.approx(found.timing.token_cycles, rel=1e-3)
    for number, place in enumerate(found.places):
        told = shown["places"][number]
        assert sum(told["kinds"]) == pytest.approx(told["cycles"], abs=0.5)
        assert (told["sums"][0] > 0) == (told["sums"][1] > 0) and (told["casts"][0] > 0) == (told["casts"][1] > 0)
        assert 0 < told["working"] <= told["cycles"] and 0 <= told["wires"] <= told["cycles"]
        assert sum(told["fill"]) == max(place.fill.sram, place.fill.needed)
    for show in (show for each, show in REGIONAL if each == name and show != "links"):
        root = ElementTree.fromstring(panel(found, show).document())
        for group in root.findall(f".//{SVG}g[@class='place']"):
            x, y, width, height = shown["places"][int(group.get("data-place"))]["box"]
            assert box(group.find(f"{SVG}rect")) == pytest.approx((x, y, x + width, y + height), abs=0.31)
    tree = {deed[7] for deeds in shown["streams"] for deed in deeds if deed[7] >= 0}
    assert all(shown["trees"][number]["span"] == found.trees[number].span for number in tree)


def test_a_program_that_is_drawn_at_another_context_says_so():
    program, wafer = made("one wafer")
    words = page(atlas(program, wafer, 1000), "layers")
    assert "compiled for 4,096 positions and is drawn at 1,000" in words
    assert "compiled for" not in page(mapped("one wafer"), "layers").split("<main>")[0]
    assert "compiled for 4,096 positions" in " ".join(
        ElementTree.fromstring(picture(atlas(program, wafer, 1000), "time").document()).itertext()
    )


def test_idle_cores_are_those_that_no_instruction_of_all_cores_keeps_busy():
    found = mapped("one wafer")
    busy = sum(found.spent(n, (Who.CORES,)) * place.rect.cores for n, place in enumerate(found.places))
    assert found.idle == pytest.approx(1 - busy / (found.timing.token_cycles * 755 * 1170))
    assert f"{found.idle:.1%}" in page(found, "layers")
    for number, place in enumerate(found.places):
        assert found.spent(number, (Who.CORES,)) + found.spent(number, WIRES) >= 0.5 * place.timed.cycles
