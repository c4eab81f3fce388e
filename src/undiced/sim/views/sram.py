"""The view of memory: every region as a bar of what a core of it holds, from code to what is free."""

from __future__ import annotations

from undiced.draw.canvas import Canvas
from undiced.draw.color import ALARM, KINDS
from undiced.draw.legend import legend, swatch
from undiced.draw.lettering import Box, fitted
from undiced.sim.atlas.atlas import Atlas, Place
from undiced.sim.atlas.fill import Fill
from undiced.sim.views.sheet import MARGIN, Room, Sheet, title
from undiced.sim.views.table import Column, Table

NOTE = "Memory of a core of every region, as a bar from left to right: what the program keeps there, and what is free."
PARTS = ("weights", "cache", "tables", "code", "scratch", "replayed", "free")
PART_WORDS = {
    "cache": "keys and values",
    "tables": "tables by position",
    "scratch": "states and activations",
    "replayed": "layers that the benchmark does not hold",
}
PART_PAINT = dict(zip(PARTS, (KINDS[0], KINDS[3], KINDS[5], KINDS[1], KINDS[2], ALARM, "face"), strict=True))
_CAPTION = 17.0


def draw(atlas: Atlas, canvas: Canvas, room: Room, top: float) -> Sheet:
    """A bar in each region; where the model does not fit, a line where memory ends."""
    sheet = Sheet.of(atlas, room, top)
    for number, place, box in sheet.wafers(canvas):
        with canvas.group(f"{title(place)}; {_told(place.fill)}", number):
            canvas.rect(box, "paper")
            _bar(canvas, _headed(canvas, place, box), place.fill)
            canvas.frame(box, "edge")
    return sheet


def _headed(canvas: Canvas, place: Place, box: Box) -> Box:
    """Writes above the bar what fits there; returns what is left for the bar."""
    head = Box(box.x, box.y, box.width, _CAPTION)
    full = f"{place.fill.needed / place.fill.sram:.0%}"
    choices = [(f"region {place.name}: {full} of {place.fill.sram:,} bytes",), (f"{place.name}: {full}",), (full,)]
    if box.height < 2.5 * _CAPTION or fitted(choices, head) is None:
        canvas.dropped += 1
        return box
    canvas.label(head, choices, "ink")
    return Box(box.x, box.y + _CAPTION, box.width, box.height - _CAPTION)


def _bar(canvas: Canvas, box: Box, fill: Fill) -> None:
    whole = max(fill.needed, fill.sram, 1)
    x = box.x
    for part in PARTS:
        width = box.width * getattr(fill, part) / whole
        if width > 0:
            canvas.rect(Box(x, box.y, width, box.height), PART_PAINT[part])
        x += width
    if fill.needed > fill.sram:
        end = box.x + box.width * fill.sram / whole
        canvas.line([(end, box.y), (end, box.y + box.height)], "ink", 3.0)
        words = ("memory of a core ends here",)
        canvas.label(Box(end, box.y, box.x + box.width - end, box.height), [words], "#ffffff")


def _told(fill: Fill) -> str:
    return ", ".join(f"{PART_WORDS.get(part, part)} {getattr(fill, part):,}" for part in PARTS) + " bytes"


def key(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """What the colors stand for, with the most bytes of each on any core."""
    entries = []
    for part in PARTS:
        sizes = [getattr(place.fill, part) for place in atlas.places]
        if max(sizes):
            words = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
            entries.append((swatch(PART_PAINT[part]), f"{PART_WORDS.get(part, part)}: {words} bytes"))
    return legend(canvas, entries, MARGIN, top)


def table(atlas: Atlas) -> Table:
    """Bytes of a core, region by region."""
    parts = [part for part in PARTS if part != "replayed" or any(place.fill.replayed for place in atlas.places)]
    columns = (
        Column("region"), Column("holds"), Column("full", ".1%"),
        *(Column(PART_WORDS.get(part, part), ",d") for part in parts), Column("needed", ",d"),
    )  # fmt: skip
    rows = tuple(
        (number, (place.name, "; ".join(place.contents.lines), place.fill.needed / place.fill.sram,
                  *(getattr(place.fill, part) for part in parts), place.fill.needed))
        for number, place in enumerate(atlas.places)
    )  # fmt: skip
    return Table(columns, rows, (0, 1, 2))
