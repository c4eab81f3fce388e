"""Heat film: link loads as a page needs them to show any collective in any region, as plain data. Draws nothing.

A map is its different rows, run by run, and which of them lie one below the other: routes repeat along lines, so that
this is small.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from undiced.draw.cells import LEVELS
from undiced.draw.color import ramp
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.atlas.deeds import Who
from undiced.sim.fabric.routes import Port
from undiced.sim.views.links import Told, link_map_of, told
from undiced.sim.views.load import LINKS, pooled

_FINEST = 256  # cells along a side
_WAYS = (*LINKS, Port.CORE)
_WHO = tuple(Who)


def heat_film(atlas: Atlas) -> dict[str, object] | None:
    """Everything that was simulated of links; nothing where nothing was. The first entry is all of them together."""
    if atlas.links is None:
        return None
    found = link_map_of(atlas)
    streams = found.links.streams
    height, width = found.links.loads.shape[:2]
    return {
        "place": found.place,
        "alike": found.alike,
        "layer": found.links.layer,
        "size": [width, height],
        "block": pooled(found.links.loads[:, :, 0], _FINEST)[0],
        "ramp": [ramp((number + 0.5) / LEVELS) for number in range(LEVELS)],
        "ways": [way.name.lower() for way in _WAYS],
        "entries": [_entry(each, streams) for each in told(found)],
    }


def _entry(each: Told, streams: tuple[int, ...]) -> dict[str, object]:
    """A collective, and which deed of which stream it is: who, and the value that is made."""
    deed = [] if each.one is None else [streams[each.one.run], _WHO.index(Who.SUMS if each.one.sums else Who.CASTS)]
    maps = [_packed(pooled(each.loads[:, :, way], _FINEST)[1]) for way in _WAYS]
    return {"name": each.name, "value": each.value, "deed": deed, "maps": maps}


def _packed(cells: NDArray[np.integer]) -> list[list[object]]:
    """[different rows as amount, length, amount, length, ...; row, length, row, length, ... from the top]."""
    rows, order = np.unique(cells, axis=0, return_inverse=True)
    return [[_runs(row.tolist()) for row in rows], list(_runs(order.reshape(-1).tolist()))]


def _runs(values: list[int]) -> list[int]:
    return [part for value, run in groupby(values) for part in (value, len(list(run)))]
