"""The view of link loads: how many wavelets each link of a region carried for one layer, all collectives together and
each by itself. Regions that were not simulated, and are not alike to the one that was, stay empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced.draw.canvas import Canvas
from undiced.draw.color import ramp
from undiced.draw.legend import Mark, legend, outlined, ramped, swatch
from undiced.draw.lettering import Box, fitted, shortened, text_width
from undiced.draw.lettering import alike as lettered
from undiced.program.wafer.layout import Axis
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.atlas.deeds import Who
from undiced.sim.atlas.links import LinkMap
from undiced.sim.fabric.carried import Carried
from undiced.sim.views.load import LINKS, Busiest, heat
from undiced.sim.views.sheet import MARGIN, Room, Sheet, title
from undiced.sim.views.table import Column, Table
from undiced.sim.views.time import thousands

NOTE = (
    "Wavelets that links of a region carried for one layer, simulated wavelet by wavelet: the busiest link of each "
    "router. Regions of the same shape that run the same code are alike."
)
ALL = "all collectives"
_FINE = 2.0  # pixels of a cell, at least
_PLATE = 14.0  # pixels of a name's plate
_SIZE, _LINE = 10.0, 12.0
_SMALL, _CAPTIONS, _GAP = (128.0, 170.0), 3, 18.0  # the most pixels of a small map; lines above it; between them


@dataclass(frozen=True, slots=True)
class Told:
    """A collective as people read of it; of all together where there is no `one`."""

    name: str
    value: str
    loads: NDArray[np.integer]
    busiest: Busiest
    one: Carried | None

    @property
    def links(self) -> NDArray[np.integer]:
        """[height, width], the busiest link of each router."""
        found: NDArray[np.integer] = self.loads[:, :, list(LINKS)].max(axis=2)
        return found

    @property
    def moved(self) -> int:
        """Wavelets that passed from router to router."""
        return int(self.loads[:, :, list(LINKS)].sum(dtype=np.int64))


def told(found: LinkMap) -> Iterator[Told]:
    """All collectives together, and then each."""
    loads = found.links.loads
    yield Told(ALL, "", loads, Busiest.of(loads), None)
    for one in found.links.carried:
        name = f"{Who.SUMS if one.sums else Who.CASTS}, {one.node}"
        yield Told(name, one.value, one.loads, Busiest.of(one.loads), one)


def link_map_of(atlas: Atlas) -> LinkMap:
    """What was simulated for an atlas that has this view."""
    assert atlas.links is not None, "there is such a view of no other atlas"
    return atlas.links


def draw(atlas: Atlas, canvas: Canvas, room: Room, top: float) -> Sheet:
    """All wafers, with the loads of all collectives in every region that is alike to the one that was simulated."""
    sheet, found = Sheet.of(atlas, room, top), link_map_of(atlas)
    everything = next(told(found))
    links, most = everything.links, max(everything.busiest.wavelets, 1)
    names = [((f"region {place.name}",), (place.name,)) for place in atlas.places]
    boxes = [sheet.region(place) for place in atlas.places]
    heads = [Box(box.x, box.y, box.width, min(_PLATE, box.height / 3)) for box in boxes]
    level, sizes = lettered(list(zip(names, heads, strict=True)))
    for number, place, box in sheet.wafers(canvas):
        with canvas.group(f"{title(place)}; {_standing(found, number)}", number):
            canvas.rect(box, "paper")
            if number in found.alike:
                canvas.rect(box, "face")
                heat(canvas, box, links, most, max(int(max(box.width, box.height) / _FINE), 1))
            _plate(canvas, heads[number], names[number][level:], sizes)
            canvas.frame(box, "edge", 0.6)
    canvas.frame(sheet.region(atlas.places[found.place]).inset(-2), "ink", 3.0)
    return sheet


def _plate(canvas: Canvas, box: Box, names: Sequence[tuple[str, ...]], sizes: Sequence[float]) -> None:
    """A region's name on paper of its own, above whatever lies there."""
    found = fitted(names, box, sizes)
    if found is not None:
        wide = text_width(found.lines[0], found.size) + 4
        canvas.rect(Box(box.center[0] - wide / 2, box.y, wide, box.height), "paper", radius=2)
    canvas.label(box, names, "ink", sizes)


def _standing(found: LinkMap, number: int) -> str:
    if number == found.place:
        return f"simulated, for layer {found.links.layer}"
    return "alike to the one that was simulated" if number in found.alike else "not simulated"


def key(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """The ramp, and which regions tell what."""
    found = link_map_of(atlas)
    everything = next(told(found))
    with canvas.part("scale", 0):
        right = ramped(canvas, "0", f"{everything.busiest.wavelets:,} wavelets", MARGIN, top)
    return legend(canvas, [(outlined("ink"), _where(atlas, found)), *_others(atlas, found)], right, top)


def _where(atlas: Atlas, found: LinkMap) -> str:
    return f"simulated: layer {found.links.layer} in region {atlas.places[found.place].name}"


def _others(atlas: Atlas, found: LinkMap) -> Iterator[tuple[Mark, str]]:
    alike, rest = len(found.alike) - 1, len(atlas.places) - len(found.alike)
    if rest:
        yield swatch("paper"), f"not simulated: {rest} of other shape or code"
    if alike > 0:
        yield swatch(ramp(0.5)), f"{alike} more alike"


def below(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """Every collective by itself, as a small map with the most that a link carries; returns where they end."""
    found = link_map_of(atlas)
    rect = atlas.places[found.place].rect
    scale = min(_SMALL[0] / rect.width, _SMALL[1] / rect.height)
    box = Box(0, 0, rect.width * scale, rect.height * scale)
    across = int((canvas.width - 2 * MARGIN + _GAP) // (_SMALL[0] + _GAP))
    canvas.text((MARGIN, top + 12), "Each collective by itself, on a scale of its own", 12, bold=True)
    top += 22
    for number, each in enumerate(one for one in told(found) if one.one is not None):
        row, column = divmod(number, across)
        x = MARGIN + column * (_SMALL[0] + _GAP)
        y = top + row * (_CAPTIONS * _LINE + box.height + _GAP)
        most = f"{each.busiest.wavelets:,} at most, {thousands(each.moved)} in all"
        for line, words in enumerate((each.name, each.value, most)):
            paint = "ink" if line == 0 else "faint"
            canvas.text((x, y + (line + 1) * _LINE - 3), shortened(words, _SMALL[0], _SIZE), _SIZE, paint)
        where = Box(x, y + _CAPTIONS * _LINE + 2, box.width, box.height)
        canvas.rect(where, "face")
        heat(canvas, where, each.links, max(each.busiest.wavelets, 1), int(max(box.width, box.height) / 1.5))
        canvas.frame(where, "edge", 0.6)
    rows = -(-len(found.links.carried) // across)
    return top + rows * (_CAPTIONS * _LINE + box.height + _GAP)


def table(atlas: Atlas) -> Table:
    """Every collective, all together first."""
    columns = (
        Column("collective"), Column("makes"), Column("over"), Column("wavelets", ",d"), Column("busiest link", ",d"),
        Column("from"), Column("mean of used links", ",.1f"), Column("unused links", ".0%"),
        Column("cycles by itself", ",d"),
    )  # fmt: skip
    found = link_map_of(atlas)
    cycles = sum(each.cycles for each in found.links.carried)
    return Table(columns, tuple((found.place, _cells(each, cycles)) for each in told(found)), (0, 1, 3, 4))


def _cells(each: Told, all_cycles: int) -> tuple[str | float, ...]:
    links = each.loads[:, :, list(LINKS)]
    used = links[links > 0]
    mean = float(used.mean()) if used.size else 0.0
    hot = each.busiest
    over = "" if each.one is None else f"{each.one.span:,} {'rows' if each.one.axis is Axis.ROWS else 'columns'}"
    from_ = f"({hot.x}, {hot.y}) to the {hot.port.name.lower()}"
    cycles = all_cycles if each.one is None else each.one.cycles
    return each.name, each.value, over, each.moved, hot.wavelets, from_, mean, 1 - used.size / links.size, cycles
