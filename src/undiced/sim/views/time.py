"""The view of time: cycles that a token spends in each region, and the one that sets the initiation interval."""

from __future__ import annotations

from undiced.draw.canvas import Canvas
from undiced.draw.color import ink_on, ramp
from undiced.draw.legend import legend, outlined, ramped
from undiced.draw.lettering import alike
from undiced.machine.cost import Cost
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.atlas.deeds import WIRES, Who
from undiced.sim.views.sheet import MARGIN, Room, Sheet, title
from undiced.sim.views.table import Column, Table
from undiced.sim.views.words import slowest

NOTE = (
    "Cycles of one token in every region. The slowest sets the initiation interval: how often a full pipeline yields a "
    "token."
)
_WITHIN = 2.0  # pixels that the frame of the bottleneck takes of a region
_KINDS = ("compute", "collective", "overhead", "hops", "io")


def draw(atlas: Atlas, canvas: Canvas, room: Room, top: float) -> Sheet:
    """Regions by their share of the slowest one's cycles."""
    sheet, most = Sheet.of(atlas, room, top), atlas.timing.initiation_interval_cycles
    told = [_labels(place.name, place.timed.cycles, atlas.share(n)) for n, place in enumerate(atlas.places)]
    boxes = [sheet.region(place).inset(_WITHIN) for place in atlas.places]
    level, sizes = alike(list(zip(told, boxes, strict=True)))
    for number, place, box in sheet.wafers(canvas):
        cycles, share = place.timed.cycles, atlas.share(number)
        paint = ramp(cycles / most if most else 0.0)
        node, longest = place.timed.hottest
        collective = f"; longest collective: {node}, {longest:,.0f} cycles" if node else ""
        with canvas.group(f"{title(place)}; {cycles:,.0f} cycles, {share:.1%} of a token{collective}", number):
            canvas.rect(box, paint)
            canvas.label(boxes[number], told[number][level:], ink_on(paint), sizes)
    for number in atlas.bottlenecks:
        canvas.frame(boxes[number].inset(-2 * _WITHIN), "alarm", 2 * _WITHIN)
    return sheet


def _labels(name: str, cycles: float, share: float) -> list[tuple[str, ...]]:
    brief = thousands(cycles)
    return [
        (f"region {name}", f"{cycles:,.0f} cycles", f"{share:.1%} of a token"),
        (name, f"{cycles:,.0f}", f"{share:.1%}"),
        (name, brief, f"{share:.1%}"),
        (brief, f"{share:.1%}"),
        (brief,),
        (name,),
    ]


def thousands(cycles: float) -> str:
    """In four or five characters."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if cycles >= size:
            return f"{cycles / size:.3g}{unit}"
    return f"{cycles:.0f}"


def key(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """The ramp and the frame."""
    right = ramped(canvas, "0", f"{atlas.timing.initiation_interval_cycles:,.0f} cycles", MARGIN, top)
    words = f"bottleneck, which sets the initiation interval: {slowest(atlas)}"
    return legend(canvas, [(outlined("alarm"), words)], right, top)


def table(atlas: Atlas) -> Table:
    """Cycles of every region, by what they are spent on."""
    columns = (
        Column("region"), Column("holds"), Column("cycles", ",.0f"), Column("of a token", ".1%"),
        Column("busy when full", ".0%"), Column("cores at work", ".0%"), Column("wires in use", ".0%"),
        *(Column(kind, ",.0f") for kind in _KINDS), Column("longest collective"), Column("its cycles", ",.0f"),
    )  # fmt: skip
    return Table(columns, tuple((number, _cells(atlas, number)) for number in range(len(atlas.places))), (0, 1, 2))


def _cells(atlas: Atlas, number: int) -> tuple[str | float, ...]:
    place = atlas.places[number]
    cost: Cost = place.timed.cost
    spent = (getattr(cost, kind) for kind in _KINDS)
    held = "; ".join(place.contents.lines)
    shares = (atlas.spent(number, whose) / max(cost.cycles, 1.0) for whose in ((Who.CORES,), WIRES))
    shown = atlas.share(number), atlas.busy(number), *shares
    return (place.name, held, cost.cycles, *shown, *spent, *place.timed.hottest)
