"""Region shapes worth trying: at which some core's share just shrinks, and fractions of the mesh. Knows no time."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from msgspec import Struct

from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.place import Tiling
from undiced.machine.wafer import Wafer
from undiced.model import ModelConfig

_SIDE_MIN = 8
_SHARES = 96
_COLUMN_CHOICES = 96
_BAND_SHARES = 17


class Shape(Struct, frozen=True, gc=False):
    """A region's logical grid, and whether its rows lie along x."""

    grid: Grid
    turned: bool

    @property
    def sides(self) -> tuple[int, int]:
        """Cores along x and along y."""
        return (self.grid.rows, self.grid.columns) if self.turned else (self.grid.columns, self.grid.rows)

    def tiling(self, wafer: Wafer) -> Tiling:
        """How regions of this shape lie on a wafer."""
        return Tiling.of(*wafer.mesh.size, *self.sides, upright=self.turned)


def shapes(config: ModelConfig, wafer: Wafer, region: tuple[int, int] | None) -> Iterator[Shape]:
    """Every shape to try, both ways round; or the one of a fixed region, both ways round."""
    width, height = wafer.mesh.size
    for grid in _grids(config, wafer, region):
        for turned in (False, True):
            shape = Shape(grid, turned)
            x, y = shape.sides
            if x <= width and y <= height and region in (None, (x, y)):
                yield shape


def _grids(config: ModelConfig, wafer: Wafer, region: tuple[int, int] | None) -> Iterator[Grid]:
    if region is not None:
        for side, other in sorted({region, (region[1], region[0])}):
            yield from _grouped(config, side, {other}, {other})
        return
    mesh = wafer.mesh.size
    width = config.moe.ffn if config.moe else config.ffn
    fractions = {side // n for side in mesh for n in range(1, 17) if side >= n}
    rows = _within({ceil(config.dim / share) for share in range(1, _SHARES)} | fractions, mesh)
    shares = _within({ceil(width / share) for share in range(1, 4 * _SHARES)}, mesh)
    bands = {config.kv_heads * ceil(config.head_dim / share) for share in range(1, _BAND_SHARES)}
    columns = _within({*shares[:: ceil(len(shares) / _COLUMN_CHOICES)], *bands, *fractions}, mesh)
    several = {n * width for n in range(2, max(mesh) // width + 1)}
    for r in rows:
        yield from _grouped(config, r, set(columns), {*columns, *several})


def _grouped(config: ModelConfig, rows: int, columns: set[int], several: set[int]) -> Iterator[Grid]:
    """Grids of any columns, and of those on which experts may lie in several groups."""
    yield from (Grid(rows, each) for each in sorted(columns))
    groups = {each: most_groups(config, each) for each in sorted(several)}
    yield from (Grid(rows, each, count) for each, count in groups.items() if count > 1)


def most_groups(config: ModelConfig, columns: int) -> int:
    """Groups of columns that experts may lie on: of as many as there is a core for every column of an expert in, the
    fewest that leave each group as few experts.

    The fullest core has then one column of all that a token chose, as it has in one group. With more groups it would
    have more columns, and with fewer columns than an expert has every core has as many bytes in one group.
    """
    if config.moe is None:
        return 1
    most = max(1, min(config.moe.experts, columns // config.moe.ffn))
    return ceil(config.moe.experts / ceil(config.moe.experts / most))


def _within(sides: set[int], mesh: tuple[int, int]) -> list[int]:
    kept = sorted(side for side in sides if min(_SIDE_MIN, *mesh) <= side <= max(mesh))
    return kept or [max(mesh)]
