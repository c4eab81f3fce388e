"""The compiled artifact, for the host or for wafers. Knows neither graph nor machine, only their digests."""

from undiced.program.artifact import Bounds
from undiced.program.host.program import Buffer, HostProgram, KvLayer
from undiced.program.rect import Rect

__all__ = ["Bounds", "Buffer", "HostProgram", "KvLayer", "Rect"]
