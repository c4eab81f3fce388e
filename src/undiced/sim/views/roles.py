"""Colors of what runs are for: the same in every view."""

from __future__ import annotations

from undiced.draw.color import KINDS
from undiced.sim.atlas.contents import Role

PAINT: dict[Role, str] = {
    Role.HAND_OVER: KINDS[4],
    Role.TABLES: KINDS[6],
    Role.EMBEDDING: KINDS[5],
    Role.ATTENTION: KINDS[0],
    Role.FEED_FORWARD: KINDS[1],
    Role.EXPERTS: KINDS[3],
    Role.LAYER: KINDS[8],
    Role.HEAD: KINDS[2],
    Role.OTHER: KINDS[7],
}
