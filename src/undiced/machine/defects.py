"""What is broken on one wafer: cores and links by their physical places. Data; knows no repair and no file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from undiced.core.errors import CompileError
from undiced.program.wafer.individual import WAYS, Cut

_MAP_MAX = 1 << 22  # defects of a wafer, four for each core that one can have


@dataclass(frozen=True, slots=True)
class DefectMap:
    """The broken parts of a wafer of `columns` x `rows` cores, spares included.

    Attributes:
        name: what people call it: a seed, a file.
        cores: (x, y) of cores that can't be used, since they or their routers are broken; in order.
        links: cut links, by the core that they lead from; in order.

    Raises:
        CompileError: a core or a link off the wafer, or one that there is not.
    """

    name: str
    columns: int
    rows: int
    cores: tuple[tuple[int, int], ...] = ()
    links: tuple[Cut, ...] = ()

    def __post_init__(self) -> None:
        if len(self.cores) + len(self.links) > _MAP_MAX:
            raise CompileError(f"The map {self.name} has more than {_MAP_MAX:,} defects.", remedy="Is it of one wafer?")
        for x, y in self.cores:
            if not (0 <= x < self.columns and 0 <= y < self.rows):
                raise self._off(f"core {x}, {y}", x, y)
        for x, y, way in self.links:
            if way not in WAYS:
                raise CompileError(f"The map {self.name} has a link to {way!r:.40}.", remedy=f"Use {', '.join(WAYS)}.")
            to_x, to_y = x + WAYS[way][0], y + WAYS[way][1]
            for at_x, at_y in ((x, y), (to_x, to_y)):
                if not (0 <= at_x < self.columns and 0 <= at_y < self.rows):
                    raise self._off(f"the link from core {x}, {y} to {way}", at_x, at_y)

    def _off(self, what: str, x: int, y: int) -> CompileError:
        return CompileError(
            f"The map {self.name} names {what}, and core {x}, {y} is off the wafer.",
            remedy=f"It has {self.columns} x {self.rows} cores, spares included, counted from 0.",
        )

    @property
    def digest(self) -> str:
        """sha256 over size and defects: says exactly which map a program was placed for."""
        text = f"{self.columns}x{self.rows}|{self.cores}|{self.links}"
        return hashlib.sha256(text.encode()).hexdigest()
