"""Energy: joules that the processor's packages have taken, where the kernel exposes their counters (RAPL) and lets us
read them. They count the whole machine, whoever works on it; where there are none, nothing is known, which is not zero.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from pathlib import Path

from msgspec import Struct

POWERCAP = Path("/sys/class/powercap")
_PACKAGE = re.compile(r"intel-rapl:\d+")  # of AMD's processors, too; a zone of the whole board is no package
_PART = re.compile(r"intel-rapl:\d+:\d+")
_MICROJOULE = 1e-6
Counts = tuple[int, ...]


class _Zone(Struct, frozen=True):
    """One counter: its name, its open file, and the microjoules after which it begins again."""

    name: str
    file: int
    period: int

    def count(self) -> int:
        return int(os.pread(self.file, 32, 0))


class Energy:
    """The counters of this machine: its packages, and memory where that is counted beside them.

    Attributes:
        zones: their names; none where the kernel exposes none or keeps them to its administrator.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._zones: list[_Zone] = []
        for path in sorted(folder.glob("intel-rapl:*")):
            with contextlib.suppress(OSError, ValueError):
                if (found := _opened(path)) is not None:
                    self._zones.append(found)

    @property
    def zones(self) -> tuple[str, ...]:
        """Names of what is counted."""
        return tuple(zone.name for zone in self._zones)

    def counts(self) -> Counts:
        """What the counters say now; empty where one can't be read."""
        try:
            return tuple(zone.count() for zone in self._zones)
        except (OSError, ValueError):
            return ()

    def joules(self, before: Counts) -> float:
        """Since `counts` said `before`; NaN where that is not known. A counter begins again once at most meanwhile."""
        after = self.counts()
        if not after or len(before) != len(after):
            return math.nan
        spent = zip(self._zones, before, after, strict=True)
        return _MICROJOULE * sum((now - then) % zone.period for zone, then, now in spent)

    def close(self) -> None:
        """Close the files; idempotent."""
        for zone in self._zones:
            os.close(zone.file)
        self._zones = []


def _opened(path: Path) -> _Zone | None:
    """A zone that counts what no other does; None of any other.

    Raises:
        OSError, ValueError: it can't be read.
    """
    name = (path / "name").read_text().strip()
    if not (_PACKAGE.fullmatch(path.name) and name.startswith("package")) and not (
        _PART.fullmatch(path.name) and name == "dram"
    ):
        return None
    period = int((path / "max_energy_range_uj").read_text())
    if period <= 0:
        raise ValueError(f"a counter of {period} microjoules")
    file = os.open(path / "energy_uj", os.O_RDONLY | os.O_CLOEXEC)
    zone = _Zone(name, file, period)
    try:
        zone.count()
    except (OSError, ValueError):
        os.close(file)
        raise
    return zone
