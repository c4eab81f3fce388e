"""Spare cores of a wafer: spare columns, and what links around dead cores take. Knows no defect and no program.

Each row has its spares, spread evenly. Where a core is dead the row's cores move on to the next spare: a skip link
passes the dead core, diagonal links lead to rows that did not move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Spares:
    """Spare columns and the links that bring them in. Each field says what it is."""

    columns: Annotated[Constant, "spare cores in each row of the usable grid"]
    skip_cycles: Annotated[Constant, "what a link past a dead core takes beyond a hop"]
    diagonal_cycles: Annotated[Constant, "what a diagonal link takes beyond a hop"]

    @property
    def count(self) -> int:
        """Spare cores in each row."""
        return int(self.columns.value)


def spare_places(width: int, spares: int) -> tuple[int, ...]:
    """Physical columns of the spares of a row of `width` cores: each at the end of an equal part of the row."""
    return tuple((number + 1) * (width + spares) // spares - 1 for number in range(spares))
