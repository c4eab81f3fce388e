"""Settle: a program onto wafers as individuals, around their defects. Knows no operator: regions stay as they are.

Regions keep their logical places beside each other. Where rows of a wafer can't be repaired, all its regions move down
to rows that can, as far as there are so many side by side.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace as with_fields

from undiced.core.errors import CompileError
from undiced.machine.defects import DefectMap
from undiced.machine.fabric import hardware
from undiced.machine.repair import UnrepairableError, repair, usable_rows
from undiced.machine.wafer import Wafer
from undiced.program import Rect
from undiced.program.wafer.individual import Individual
from undiced.program.wafer.program import Region, WaferProgram
from undiced.program.wafer.verify import verify


def settle(program: WaferProgram, wafer: Wafer, map_of: Callable[[int], DefectMap]) -> WaferProgram:
    """The program on wafers with defects, `map_of` each by its number.

    Raises:
        UnrepairableError: a wafer has no place for its regions; names the rows that fail, and what would repair them.
        CompileError: a map of a wafer of another size; or a mapping whose cores pass tiles around.
    """
    if any(name.startswith("mapping ") for name, _ in program.facts):
        raise CompileError(
            "Published mappings are as published, on wafers without defects.",
            remedy="Leave the defects out, or use our mapping.",
        )
    regions, individuals = list[Region](), list[Individual]()
    for number in range(program.wafers):
        own = [region for region in program.regions if region.wafer == number]
        one, down = repaired(own, wafer, map_of(number), number)
        individuals.append(one)
        regions += [with_fields(region, rect=_moved(region.rect, down)) for region in own]
    order = {region.name: region for region in regions}
    settled = with_fields(
        program,
        regions=tuple(order[region.name] for region in program.regions),
        individuals=tuple(individuals),
    )
    verify(settled, hardware(wafer))
    return settled


def repaired(own: list[Region], wafer: Wafer, found: DefectMap, number: int) -> tuple[Individual, int]:
    """The wafer of a map as these regions of it may use it, and how many rows down they lie.

    Raises:
        UnrepairableError: it has no place for them.
    """
    first = min(region.rect.y for region in own)
    rows = max(region.rect.y + region.rect.height for region in own) - first
    try:
        return repair(found, wafer, number, (first, first + rows - 1)), 0
    except UnrepairableError as error:
        start = usable_rows(found, wafer, rows)
        if start is None:
            raise UnrepairableError(
                f"{error.message} The program takes {rows} rows of it side by side, and nowhere are so many whole.",
                remedy=error.remedy,
                rows=error.rows,
            ) from None
    return repair(found, wafer, number, (start, start + rows - 1)), start - first


def _moved(rect: Rect, down: int) -> Rect:
    return Rect(rect.x, rect.y + down, rect.width, rect.height)
