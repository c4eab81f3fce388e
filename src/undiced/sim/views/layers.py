"""The view of layers: what every region holds, half-layer by half-layer, and where a block is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from undiced.draw.canvas import Canvas
from undiced.draw.legend import legend, swatch
from undiced.draw.lettering import Box, alike
from undiced.sim.atlas.atlas import Atlas, Place
from undiced.sim.atlas.contents import Role
from undiced.sim.views.roles import PAINT
from undiced.sim.views.sheet import MARGIN, Sheet, title
from undiced.sim.views.table import Column, Table

NOTE = (
    "What every region holds. a: a layer's attention, f: its feed-forward block or a part of it, E: embedding, H: "
    "head. In the strip a cell is a half-layer, or its part."
)
_STRIP, _STRIP_MOST, _GAP = 0.4, 56.0, 0.12  # of a region; pixels; of a cell, between layers


def draw(atlas: Atlas, canvas: Canvas, top: float) -> Sheet:
    """Words above, and the strip of half-layers below."""
    sheet = Sheet.of(atlas, top)
    whole = _roles(atlas)
    level, sizes = alike([(labels(place), _parted(sheet.region(place))[0]) for place in atlas.places])
    for number, place, box in sheet.wafers(canvas):
        with canvas.group(title(place), number):
            canvas.rect(box, "paper")
            above, below = _parted(box)
            told = canvas.label(above, labels(place)[level:], "ink", sizes)
            _strip(canvas, below if told else box, list(_cells(place, whole)))
            canvas.frame(box, "edge", 0.6)
    return sheet


def _parted(box: Box) -> tuple[Box, Box]:
    """Where words stand, and where the strip lies."""
    high = min(box.height * _STRIP, _STRIP_MOST)
    return Box(box.x, box.y, box.width, box.height - high), Box(box.x, box.y + box.height - high, box.width, high)


def _roles(atlas: Atlas) -> dict[int, tuple[Role, ...]]:
    """What each layer consists of, as a token's runs tell."""
    found: dict[int, dict[Role, None]] = {}
    for span in atlas.spans:
        if span.layer >= 0:
            found.setdefault(span.layer, {})[span.role] = None
    return {layer: tuple(roles) for layer, roles in found.items()}


def _cells(place: Place, roles: dict[int, tuple[Role, ...]]) -> Iterator[tuple[int, Role, Fraction]]:
    """Layer, what for, and how much of it, in the order of a token."""
    held = place.contents
    if held.embedding:
        yield -1, Role.EMBEDDING, Fraction(1)
    for layer in sorted({*held.whole, *(part.layer for part in held.cut)}):
        parts = [(part.role, part.share) for part in held.cut if part.layer == layer]
        for role, share in parts or [(role, Fraction(1)) for role in roles.get(layer, ())]:
            yield layer, role, share
    if held.head:
        yield -2, Role.HEAD, Fraction(1)


def _strip(canvas: Canvas, box: Box, cells: list[tuple[int, Role, Fraction]]) -> None:
    gaps = sum(a[0] != b[0] for a, b in pairwise(cells))
    unit = box.width / max(float(sum(share for _, _, share in cells)) + gaps * _GAP, 1.0)
    x = box.x
    for number, (layer, role, share) in enumerate(cells):
        x += unit * _GAP * (number > 0 and cells[number - 1][0] != layer)
        canvas.rect(Box(x, box.y, unit * float(share), box.height), PAINT[role])
        x += unit * float(share)


def key(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """What the colors stand for."""
    roles = _roles(atlas)
    held = {role for place in atlas.places for _, role, _ in _cells(place, roles)}
    entries = [(swatch(PAINT[role]), str(role)) for role in Role if role in held]
    return legend(canvas, [*entries, (swatch("face"), f"cores of no region ({1 - atlas.covered:.0%})")], MARGIN, top)


def groups(atlas: Atlas) -> list[str]:
    """Regions that hold alike, in words: for more of them than anybody reads one by one."""
    found = Counter(place.contents.pattern for place in atlas.places)
    return [f"{count} region{'s' * (count > 1)}: {pattern}" for pattern, count in found.most_common()]


def labels(place: Place) -> list[tuple[str, ...]]:
    """What may stand in a region, most telling first."""
    name, held = place.name, place.contents
    each, region = tuple(held.short.split(" · ")), f"region {name}"
    if name in held.lines:
        return [held.lines] * 4 + [each, each]
    return [(region, *held.lines), (region, held.short), (region, *each), (name, held.short), (name, *each), (name,)]


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
