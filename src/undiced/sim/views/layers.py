"""The view of layers: what every region holds, half-layer by half-layer, and where a block is cut."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction

from undiced.draw.canvas import Canvas
from undiced.draw.legend import legend, swatch
from undiced.draw.lettering import Box, alike
from undiced.sim.atlas.atlas import Atlas, Place
from undiced.sim.atlas.contents import Role
from undiced.sim.views.bricks import Row, row
from undiced.sim.views.bricks import draw as bricks
from undiced.sim.views.bricks import names as row_names
from undiced.sim.views.roles import PAINT
from undiced.sim.views.sheet import MARGIN, Room, Sheet, title
from undiced.sim.views.table import Column, Table

NOTE = (
    "What every region holds, a layer a row: its attention on the left, its feed-forward block on the right. Where "
    "regions share a layer, each has a part of the row."
)
_USUAL = 0.9  # of the regions, which have rows of one height
_PAD, _HEAD = 4.0, 16.0  # pixels around a region's rows; of its name


def draw(atlas: Atlas, canvas: Canvas, room: Room, top: float) -> Sheet:
    """Each region's name, and below it the rows of what it holds."""
    sheet = Sheet.of(atlas, room, top)
    held = rows(atlas)
    boxes = [sheet.region(place) for place in atlas.places]
    heads = [Box(box.x, box.y, box.width, min(_HEAD, box.height / 3)) for box in boxes]
    names = [((f"region {place.name}",), (place.name,)) for place in atlas.places]
    level, sizes = alike(list(zip(names, heads, strict=True)))
    bodies = [_below(box, head) for box, head in zip(boxes, heads, strict=True)]
    usual = sorted(map(len, held))[int(_USUAL * (len(held) - 1))]
    told = row_names(list(zip(held, bodies, strict=True)), usual)
    canvas.dropped += told is None
    for number, place, box in sheet.wafers(canvas):
        with canvas.group(title(place), number):
            canvas.rect(box, "paper", radius=2)
            canvas.label(heads[number], names[number][level:], "ink", sizes)
            bricks(canvas, held[number], bodies[number], max(usual, len(held[number])), told)
            canvas.frame(box, "edge", 0.6, radius=2)
    return sheet


def _below(box: Box, head: Box) -> Box:
    pad = min(_PAD, box.width / 8)
    top = head.y + head.height
    return Box(box.x + pad, top, box.width - 2 * pad, max(box.y + box.height - top - pad, 1.0))


def blocks(atlas: Atlas) -> dict[int, tuple[Role, ...]]:
    """What each layer consists of, as a token's runs tell."""
    found: dict[int, dict[Role, None]] = {}
    for span in atlas.spans:
        if span.layer >= 0:
            found.setdefault(span.layer, {})[span.role] = None
    return {layer: tuple(roles) for layer, roles in found.items()}


def rows(atlas: Atlas) -> list[list[Row]]:
    """Of every place, in the order of a token; what lies in several places is laid out in their order."""
    known, out = blocks(atlas), []
    begun: dict[tuple[int, Role], Fraction] = defaultdict(Fraction)
    for place in atlas.places:
        held = place.contents
        found = [row("E", (Role.EMBEDDING,), [(Role.EMBEDDING, Fraction(0), Fraction(1))])] if held.embedding else []
        for layer in sorted({*held.whole, *(part.layer for part in held.cut)}):
            parts = []
            for role, share in _shares(place, layer, known[layer]):
                parts.append((role, begun[layer, role], share))
                begun[layer, role] += share
            found.append(row(str(layer), known[layer], parts))
        if held.head:
            found.append(row("H", (Role.HEAD,), [(Role.HEAD, Fraction(0), Fraction(1))]))
        out.append(found)
    return out


def _shares(place: Place, layer: int, known: tuple[Role, ...]) -> list[tuple[Role, Fraction]]:
    """Of a layer's blocks, those that lie here."""
    if layer in place.contents.whole:
        return [(role, Fraction(1)) for role in known]
    return [(part.role, part.share) for part in place.contents.cut if part.layer == layer]


def key(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """What the colors stand for."""
    held = {cell.role for place in rows(atlas) for each in place for cell in each.cells}
    entries = [(swatch(PAINT[role]), str(role)) for role in Role if role in held]
    return legend(canvas, [*entries, (swatch("face"), f"cores of no region ({1 - atlas.covered:.0%})")], MARGIN, top)


def groups(atlas: Atlas) -> list[str]:
    """Regions that hold alike, in words: for more of them than anybody reads one by one."""
    found = Counter(place.contents.pattern for place in atlas.places)
    return [f"{count} region{'s' * (count > 1)}: {pattern}" for pattern, count in found.most_common()]


def table(atlas: Atlas) -> Table:
    """Where each region is, and what it holds."""
    columns = (
        Column("region"), Column("wafer", "d"), Column("x", "d"), Column("y", "d"), Column("cores across", "d"),
        Column("cores down", "d"), Column("holds"),
    )  # fmt: skip
    rows = tuple(
        (number, (place.name, place.wafer, place.rect.x, place.rect.y, place.rect.width, place.rect.height,
                  "; ".join(place.contents.lines)))
        for number, place in enumerate(atlas.places)
    )  # fmt: skip
    return Table(columns, rows, (0, 6))
