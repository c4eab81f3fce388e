"""The view of traffic: a token's path from region to region and from wafer to wafer, as arrows with their cycles."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.draw.canvas import Canvas, Point
from undiced.draw.color import KINDS
from undiced.draw.legend import Mark, arrowed, legend, swatch
from undiced.draw.lettering import Box, text_width
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.atlas.deeds import WIRES
from undiced.sim.atlas.journey import HandOver
from undiced.sim.views.sheet import MARGIN, Room, Sheet, title
from undiced.sim.views.table import Column, Table

NOTE = (
    "A token's path. An arrow is a hand-over: what a region sends to the next, once a token. The bar in a corner is "
    "how much of the token's time there something is on the region's wires."
)
_SIZE, _SHORTEST, _ASIDE = 10.0, 36.0, 15.0  # pixels of letters, of an arrow with words, that these keep from names


@dataclass(frozen=True, slots=True)
class _Way:
    """A kind of hand-over, and how it is drawn."""

    words: str
    paint: str
    dashed: bool = False


_BAR, _INSET, _WIRES = (64.0, 6.0), 5.0, KINDS[5]  # pixels: of a bar, and from a region's edges
_WITHIN = _Way("to the next region", KINDS[0])
_OFF = _Way("to the next wafer", KINDS[1])
_BACK = _Way("back to the first region", KINDS[4], True)


def _way(passed: HandOver) -> _Way:
    return _BACK if passed.returns else _OFF if passed.off_wafer else _WITHIN


def draw(atlas: Atlas, canvas: Canvas, room: Room, top: float) -> Sheet:
    """Regions in outline, and the arrows between their middles."""
    sheet = Sheet.of(atlas, room, top)
    boxes = {}
    for number, place, box in sheet.wafers(canvas):
        boxes[number] = box
        with canvas.group(title(place), number):
            canvas.rect(box, "paper")
            _used(canvas, box, atlas.spent(number, WIRES) / max(place.timed.cycles, 1.0))
            canvas.frame(box, "edge")
            corner = Box(box.x, box.y, max(min(box.width / 2 - _ASIDE, 72), 0), min(box.height / 2, 17))
            canvas.label(corner, [(f"region {place.name}",), (place.name,)], "faint")
    for passed in atlas.hand_overs:
        points = _path(sheet, boxes[passed.source], boxes[passed.target], passed)
        way = _way(passed)
        canvas.arrow(points, way.paint, 2.0, dashed=way.dashed, title=_told(atlas, passed))
        _cycles(canvas, points, passed, boxes[passed.source])
    return sheet


def _used(canvas: Canvas, box: Box, share: float) -> None:
    """How much the wires are in use, as a bar in a corner of a region that has room beside the arrows."""
    wide = min(box.width / 2 - _ASIDE - _INSET, _BAR[0])
    if wide < _BAR[1] or box.height < 4 * _BAR[1]:
        return
    bar = Box(box.x + _INSET, box.y + box.height - _BAR[1] - _INSET, wide, _BAR[1])
    canvas.rect(bar, "face")
    canvas.rect(Box(bar.x, bar.y, wide * min(share, 1.0), bar.height), _WIRES)
    canvas.frame(bar, "edge", 0.6)


def _path(sheet: Sheet, source: Box, target: Box, passed: HandOver) -> list[Point]:
    """Straight on; between rows of wafers to the next row's first one, and along the margin on the way back."""
    (x0, y0), (x1, y1) = source.center, target.center
    before, after = (sheet.wafer(sheet.atlas.places[number].wafer) for number in (passed.source, passed.target))
    below = before.y + before.height + 6
    if passed.returns:
        aside, lower, side = min(12.0, source.width / 4), min(12.0, target.height / 4), MARGIN - 13
        return [(x0 + aside, y0), (x0 + aside, below), (side, below), (side, y1 + lower), (x1, y1 + lower)]
    if after.y > before.y:
        side = after.x - 6
        return [(x0, y0), (x0, below), (side, below), (side, y1), (x1, y1)]
    return [(x0, y0), (x1, y1)]


def _cycles(canvas: Canvas, points: list[Point], passed: HandOver, source: Box) -> None:
    """The cycles in the middle of an arrow that is long enough, where its region is wide enough."""
    if len(points) > 2:
        return
    (x0, y0), (x1, y1) = points
    words = f"{passed.cycles:,.0f}"
    wide = text_width(words, _SIZE) + 6
    if max(abs(x1 - x0), abs(y1 - y0)) < max(_SHORTEST, wide * 1.4) or wide > source.width:
        return
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    canvas.rect(Box(x - wide / 2, y - 7, wide, 14), "paper")
    canvas.text((x, y + 3.6), words, _SIZE, "ink", "middle")


def _told(atlas: Atlas, passed: HandOver) -> str:
    names = tuple(atlas.places[number].name for number in (passed.source, passed.target))
    return (
        f"region {names[0]} to region {names[1]}: {', '.join(passed.carried)}, {passed.size_bytes:,} bytes over up to "
        f"{passed.hops:,} hops{', off the wafer' if passed.off_wafer else ''}, {passed.cycles:,.0f} cycles"
    )


def key(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """Kinds of hand-overs, how many there are, and what they take."""
    entries: list[tuple[Mark, str]] = []
    for way in (_WITHIN, _OFF, _BACK):
        found = [passed for passed in atlas.hand_overs if _way(passed) is way]
        if found:
            least, most = (f"{edge(passed.cycles for passed in found):,.0f}" for edge in (min, max))
            each = least if least == most else f"{least} to {most}"
            total = sum(passed.cycles for passed in found) / atlas.timing.token_cycles
            words = f"{way.words}: {len(found)} of {each} cycles, {total:.1%} of a token"
            entries.append((arrowed(way.paint, dashed=way.dashed), words))
    shares = [atlas.spent(n, WIRES) / max(place.timed.cycles, 1.0) for n, place in enumerate(atlas.places)]
    words = f"wires in use: {min(shares):.0%} to {max(shares):.0%} of a region's time"
    entries.append((swatch(_WIRES), words))
    return legend(canvas, entries, MARGIN + 6, top)


def table(atlas: Atlas) -> Table:
    """Every hand-over, in the order of a token."""
    columns = (
        Column("from"), Column("to"), Column("wafers"), Column("carries"), Column("bytes", ",d"), Column("hops", ",d"),
        Column("cycles", ",.0f"), Column("of a token", ".2%"),
    )  # fmt: skip
    return Table(columns, tuple(_row(atlas, passed) for passed in atlas.hand_overs), (0, 1, 4, 6))


def _row(atlas: Atlas, passed: HandOver) -> tuple[int, tuple[str | float, ...]]:
    source, target = (atlas.places[number] for number in (passed.source, passed.target))
    wafers = f"{source.wafer} to {target.wafer}" if passed.off_wafer else f"{source.wafer}"
    share = passed.cycles / atlas.timing.token_cycles
    cells = (source.name, target.name, wafers, ", ".join(passed.carried), passed.size_bytes, passed.hops, passed.cycles)
    return passed.target, (*cells, share)
