"""What lines of a region take longer around a wafer's defects: links past dead cores and diagonal links, in cycles.

Each kind of line is charged with its worst one, from end to end, since all lines of a collective wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable

from undiced.machine.spares import Spares
from undiced.program.wafer.individual import Individual
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.program import Region

Kind = tuple[Axis, int]  # lines along an axis, of so many cores
Detours = tuple[tuple[Kind, float], ...]  # cycles beyond the hops of each kind of line


def detours(one: Individual | None, region: Region, kinds: Iterable[Kind], spares: Spares) -> Detours:
    """Of each kind of line that a region has; none on a wafer without defects."""
    if one is None:
        return ()
    out = []
    for axis, span in sorted(set(kinds)):
        past, diagonal = one.longer(region.rect, (axis is Axis.COLUMNS) is not region.turned, span)
        cycles = past * spares.skip_cycles.value + diagonal * spares.diagonal_cycles.value
        if cycles:
            out.append(((axis, span), cycles))
    return tuple(out)


def whole(region: Region) -> tuple[Kind, ...]:
    """The lines from end to end of a region, which what comes from another one crosses."""
    return (Axis.ROWS, region.rows), (Axis.COLUMNS, region.columns)
