"""The grid that a stream is written for: its sides, and how heads lie on its columns. Knows no instruction."""

from __future__ import annotations

from math import ceil

from msgspec import Struct

from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis, Part, Partial, Replicate, Shard, Spread


class Grid(Struct, frozen=True, gc=False):
    """Logical rows by columns. The hidden state lies over rows, heads and feed-forward columns over columns.

    Experts lie on `groups` of columns: each has its share of them, whole ones, and the group's columns share an expert
    out. In one group every column has its part of every expert.
    """

    rows: int
    columns: int
    groups: int = 1

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

    def of_experts(self, dim: str, groups: Part) -> Spread:
        """A dimension of experts shared out over the columns of each group; what lies over groups where there are."""
        return (groups, Shard(dim, self.columns // self.groups)) if self.groups > 1 else self.over_columns(dim)


class Bands(Struct, frozen=True, gc=False):
    """Heads over columns: KV heads over `count` bands side by side, each of `groups` sub-bands of `lanes` cores.

    Every sub-band has its head's keys and values, and works on its share of the query heads that read them. Its lanes
    share out a head's columns.
    """

    count: int
    lanes: int
    groups: int = 1

    @classmethod
    def of(cls, kv_heads: int, columns: int, pairs: int, group: int, least: int = 1) -> Bands:
        """As many bands as KV heads, or as columns where those are fewer; of their columns as few lanes as make the
        pairs of a head lie as thin as on all; and of the sub-bands that the rest has room for, as few as make the query
        heads of a `group` so. Room for `least` sub-bands is kept before.
        """
        count = min(kv_heads, columns)
        least = min(least, group, columns // count)
        lanes = _enough(max(pairs, 1), columns // count // least)
        return cls(count, lanes, _enough(group, columns // count // lanes))

    def queries(self, dim: str = "") -> Spread:
        """What is of query heads: shared out by bands and sub-bands; a dimension over lanes, or the same on all."""
        return self._spread(Shard("kv", self.count), Shard("group", self.groups), dim)

    def one_query(self, dim: str = "") -> Spread:
        """What is of one query head of every sub-band, which is called a `part` of its group."""
        return self._spread(Shard("kv", self.count), Shard("part", self.groups), dim)

    def keys(self, dim: str = "") -> Spread:
        """What is of KV heads: shared out by bands, the same in their sub-bands; lanes as for queries."""
        return self._spread(Shard("kv", self.count), Replicate(self.groups), dim)

    def lanes_of(self, dim: str) -> Spread:
        """The same in every sub-band, a dimension over lanes."""
        return self._spread(Replicate(self.count), Replicate(self.groups), dim)

    def _spread(self, bands: Part, groups: Part, dim: str) -> Spread:
        lanes = Shard(dim, self.lanes) if dim else Replicate(self.lanes)
        return (bands, groups, lanes) if self.groups > 1 else (bands, lanes)

    def terms(self, heads: Spread) -> Spread:
        """Terms of a sum on the lanes, of what lies as `heads`."""
        return (*heads[:-1], Partial("sum", self.lanes))

    @property
    def line(self) -> Line:
        """The cores of a sub-band."""
        return Line(Axis.COLUMNS, self.lanes)

    @property
    def columns(self) -> int:
        """All that have a head."""
        return self.count * self.groups * self.lanes


def _enough(elements: int, cores: int) -> int:
    """The fewest of some cores on which shares are as thin as on all."""
    return ceil(elements / ceil(elements / cores))
