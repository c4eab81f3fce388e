"""The compiled artifact, for the host or for wafers. Knows neither graph nor machine, only their digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.late import late
from undiced.program.artifact import Bounds
from undiced.program.host.program import Buffer, HostProgram, KvLayer

if TYPE_CHECKING:
    from undiced.program.rect import Rect as Rect

__all__ = ["Bounds", "Buffer", "HostProgram", "KvLayer", "Rect"]
__getattr__ = late(__name__, {"Rect": "rect"})
