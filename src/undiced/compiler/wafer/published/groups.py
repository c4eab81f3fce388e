"""Groups of the published two-trees: which counts split a region's sides evenly, and what to use instead."""

from __future__ import annotations

from math import gcd

from undiced.core.errors import CompileError
from undiced.core.option import option


def check_groups(groups: int, width: int, height: int) -> None:
    """Both sides of a region split into equal groups; a side shorter than `groups` has one core per group.

    Raises:
        CompileError: they do not; the remedy names the nearest counts that do, and the nearest sides.
    """
    uneven = next((side for side in (width, height) if side % min(groups, side)), None)
    if uneven is None:
        return
    common = gcd(width, height)
    counts = [g for g in range(2, common) if common % g == 0]
    near = [*[g for g in counts if g < groups][-1:], *[g for g in counts if g > groups][:1]]
    ways = [" or ".join((option("groups", near[0]), *map(str, near[1:])))] if near else []
    ways.append(option("region", f"{_even(width, groups)}x{_even(height, groups)}"))
    raise CompileError(
        f"A side of {uneven} cores can't be split into {groups} equal groups.", remedy=f"Use {', or '.join(ways)}."
    )


def _even(side: int, groups: int) -> int:
    """The longest side up to `side` that splits evenly."""
    return side - side % min(groups, side)
