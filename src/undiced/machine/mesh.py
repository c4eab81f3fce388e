"""The grid of cores that programs may use, and the routing resources of each router. Knows no core and no program."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Mesh:
    """A grid, x by y.

    Attributes:
        width, height: usable cores along x and along y.
        cores_enabled, cores_built: of the whole wafer, spares and hidden ones included.
        dies, die_area_mm2: how the wafer was exposed, and its area.
        colors: routable virtual channels; reserved_colors: taken by the host's copy routines.
        switch_positions: routes one color of one router can switch between without software.
    """

    width: Constant
    height: Constant
    cores_enabled: Constant
    cores_built: Constant
    dies: Constant
    die_area_mm2: Constant
    colors: Constant
    reserved_colors: Constant
    switch_positions: Constant

    @property
    def size(self) -> tuple[int, int]:
        """Usable cores along x and along y."""
        return int(self.width.value), int(self.height.value)

    @property
    def cores(self) -> int:
        """Usable cores."""
        width, height = self.size
        return width * height
