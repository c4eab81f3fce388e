"""Table: the numbers of a view, a row for each place or hand-over. Knows how figures are spelled, not where they go."""

from __future__ import annotations

from dataclasses import dataclass

Cell = str | float


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and how its figures are spelled: a format for numbers, "" for words."""

    name: str
    form: str = ""

    def spelled(self, cell: Cell) -> str:
        """A cell as people read it."""
        return format(cell, self.form) if self.form else str(cell)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the number of the place that each is about.

    Attributes:
        told: which columns stand beside a picture that has no page around it.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[int, tuple[Cell, ...]], ...]
    told: tuple[int, ...]

    def line(self, row: int) -> tuple[str, ...]:
        """The told cells of a row."""
        cells = self.rows[row][1]
        return tuple(self.columns[n].spelled(cells[n]) for n in self.told)
