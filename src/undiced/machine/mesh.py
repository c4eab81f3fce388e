"""The grid of cores that programs may use, and the routing resources of each router. Knows no core and no program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Mesh:
    """A grid, x by y. Each field says what it is."""

    width: Annotated[Constant, "usable cores along x"]
    height: Annotated[Constant, "usable cores along y"]
    cores_enabled: Annotated[Constant, "of the whole wafer, hidden ones included"]
    cores_built: Annotated[Constant, "of the whole wafer, spares included"]
    dies: Annotated[Constant, "how the wafer was exposed"]
    die_area_mm2: Annotated[Constant, "area of all dies"]
    colors: Annotated[Constant, "routable virtual channels"]
    reserved_colors: Annotated[Constant, "channels taken by the host's copy routines"]
    switch_positions: Annotated[Constant, "routes one color of one router can switch between without software"]

    @property
    def size(self) -> tuple[int, int]:
        """Usable cores along x and along y."""
        return int(self.width.value), int(self.height.value)

    @property
    def cores(self) -> int:
        """Usable cores."""
        width, height = self.size
        return width * height

    @property
    def core_mm2(self) -> float:
        """Silicon for each core that was built, what lies between included: the area of all dies over all cores."""
        return self.die_area_mm2.value / self.cores_built.value
