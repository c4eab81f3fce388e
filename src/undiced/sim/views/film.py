"""Film: what a page needs to show a token's way as time passes, as plain data: places on the sheet, runs, what they do.

Knows where the views draw things; moves nothing.
"""

from __future__ import annotations

from undiced.draw.lettering import Box
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.tree import roots
from undiced.sim.atlas.atlas import Atlas, Place
from undiced.sim.atlas.contents import Role
from undiced.sim.atlas.deeds import WIRES, Deed, Who
from undiced.sim.views.heat_film import heat_film
from undiced.sim.views.roles import PAINT
from undiced.sim.views.sheet import Room, Sheet
from undiced.sim.views.sram import PART_PAINT, PART_WORDS, PARTS

_ROLES, _WHO = tuple(Role), tuple(Who)
_KINDS = ("compute", "collective", "overhead", "hops", "io")


def film(atlas: Atlas, room: Room, top: float) -> dict[str, object]:
    """Cycles are from the token's start, or from a run's; boxes are [x, y, width, height] on the sheet."""
    sheet = Sheet.of(atlas, room, top)
    timing = atlas.timing
    return {
        "clockHz": timing.clock_hz,
        "cycles": _brief(timing.token_cycles),
        "interval": _brief(timing.initiation_interval_cycles),
        "slowest": atlas.bottlenecks,
        "roles": [{"name": str(role), "paint": PAINT[role]} for role in _ROLES],
        "who": [str(who) for who in _WHO],
        "parts": [{"name": PART_WORDS.get(part, part), "paint": PART_PAINT[part]} for part in PARTS],
        "kinds": _KINDS,
        "wafers": [[number, *_box(sheet.wafer(number))] for number in atlas.drawn],
        "places": [_place(atlas, sheet, number, place) for number, place in enumerate(atlas.places)],
        "trees": [{"span": tree.span, "roots": roots(tree)} for tree in atlas.trees],
        "streams": [[_deed(deed) for deed in deeds] for deeds in atlas.deeds],
        "turns": [
            [turn.place, turn.stream, _ROLES.index(turn.role), turn.layer, _brief(turn.start), _brief(turn.cycles)]
            for turn in atlas.turns
            if turn.cycles
        ],
        "heat": heat_film(atlas),
    }


def _place(atlas: Atlas, sheet: Sheet, number: int, place: Place) -> dict[str, object]:
    cost = place.timed.cost
    return {
        "name": place.name,
        "wafer": place.wafer,
        "cores": [place.rect.x, place.rect.y, place.rect.width, place.rect.height],
        "turned": place.turned,
        "box": _box(sheet.region(place)),
        "holds": place.contents.lines,
        "cycles": _brief(cost.cycles),
        "kinds": [_brief(getattr(cost, kind)) for kind in _KINDS],
        "working": _brief(atlas.spent(number, (Who.CORES,))),
        "wires": _brief(atlas.spent(number, WIRES)),
        "sums": atlas.carried(number, Who.SUMS),
        "casts": atlas.carried(number, Who.CASTS),
        "fill": [getattr(place.fill, part) for part in PARTS],
        "sram": place.fill.sram,
    }


def _deed(deed: Deed) -> list[object]:
    """Who, what, of which node and value, from when to when; along rows (0) or columns (1), which tree, span."""
    axis = -1 if deed.axis is None else int(deed.axis is Axis.COLUMNS)
    told = [_WHO.index(deed.who), deed.kind, deed.node, deed.made, _brief(deed.start), _brief(deed.end)]
    return [*told, axis, deed.tree, deed.span, int(deed.off_wafer)]


def _box(box: Box) -> list[float]:
    return [round(side, 1) for side in (box.x, box.y, box.width, box.height)]


def _brief(cycles: float) -> float:
    """To a tenth of a cycle."""
    return round(cycles, 1)
