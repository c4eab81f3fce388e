"""The grid that a stream is written for: its sides, and how KV heads lie on its columns. Knows no instruction."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis, Partial, Replicate, Shard, Spread


@dataclass(frozen=True, slots=True)
class Grid:
    """Logical rows by columns. The hidden state lies over rows, heads and feed-forward columns over columns."""

    rows: int
    columns: int

    def extent(self, axis: Axis) -> int:
        """Cores along an axis."""
        return self.rows if axis is Axis.ROWS else self.columns

    def line(self, axis: Axis) -> Line:
        """Whole lines along an axis."""
        return Line(axis, self.extent(axis))

    def over_rows(self, dim: str) -> Spread:
        """A dimension shared out over rows."""
        return (Shard(dim, self.rows),)

    def over_columns(self, dim: str) -> Spread:
        """A dimension shared out over columns."""
        return (Shard(dim, self.columns),)


@dataclass(frozen=True, slots=True)
class Bands:
    """KV heads side by side over columns: `count` bands of `lanes` cores, which share a head's columns."""

    count: int
    lanes: int

    @classmethod
    def of(cls, kv_heads: int, columns: int, shares: int) -> Bands:
        """As many bands as KV heads, or as columns where those are fewer; of their lanes as few as make `shares`
        (pairs of a head) lie as thin as on all."""
        count = min(kv_heads, columns)
        lanes = columns // count
        return cls(count, min(lanes, ceil(max(shares, 1) / ceil(max(shares, 1) / lanes))))

    def heads_and(self, dim: str) -> Spread:
        """KV heads over bands, a dimension over each band's lanes."""
        return (Shard("kv", self.count), Shard(dim, self.lanes))

    @property
    def heads(self) -> Spread:
        """KV heads over bands, the same on all lanes."""
        return (Shard("kv", self.count), Replicate(self.lanes))

    @property
    def terms(self) -> Spread:
        """KV heads over bands, terms of a sum on the lanes."""
        return (Shard("kv", self.count), Partial("sum", self.lanes))

    def lanes_of(self, dim: str) -> Spread:
        """The same in every band, a dimension over lanes."""
        return (Replicate(self.count), Shard(dim, self.lanes))

    @property
    def line(self) -> Line:
        """The cores of a band."""
        return Line(Axis.COLUMNS, self.lanes)
