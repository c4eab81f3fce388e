"""What rules about one stream look at: its values, their shares, and where it runs. Knows no rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from undiced.program.wafer.layout import FLAT, Axis, Roots, Spread
from undiced.program.wafer.program import Region, Stream, WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.value import Value


@dataclass(frozen=True, slots=True)
class Scope:
    """One stream of a program.

    Attributes:
        values: what it can name.
        shares: of its values, with all positions filled.
        regions: that run it.
    """

    program: WaferProgram
    stream: Stream
    values: Mapping[str, Value]
    shares: Shares
    regions: tuple[Region, ...]

    @classmethod
    def of(cls, program: WaferProgram, stream: Stream, regions: tuple[Region, ...]) -> Scope:
        """A stream, with the regions that run it."""
        values = values_of(program, stream)
        return cls(program, stream, values, Shares(values, program.trees), regions)

    def extent(self, axis: Axis) -> int:
        """Cores along an axis of the smallest region that runs it; 0 where none does."""
        sides = [region.rows if axis is Axis.ROWS else region.columns for region in self.regions]
        return min(sides, default=0)

    def spread(self, name: str, axis: Axis) -> Spread | None:
        """How a value lies along an axis; None where it is flat memory, of which each core has its own."""
        value = self.values[name]
        parts = value.rows if axis is Axis.ROWS else value.columns
        if parts:
            return parts
        flat = any(dim.name == FLAT for each in (value, self.shares.stored(name)) for dim in each.dims)
        return None if flat or self._sliced(name) else parts

    def _sliced(self, name: str) -> bool:
        value = self.values[name]
        return any(isinstance(part, Roots) and not part.whole for part in (*value.rows, *value.columns))

    def sizes(self, name: str) -> dict[str, int]:
        """Sizes of a value's dimensions by name."""
        return {dim.name: dim.size for dim in self.values[name].dims}
