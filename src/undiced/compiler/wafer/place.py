"""Place: equal rectangles on the mesh in a serpentine, consecutive ones touching. Knows no content of regions."""

from __future__ import annotations

from msgspec import Struct

from undiced.core.errors import CompileError
from undiced.machine.wafer import Wafer
from undiced.program import Rect


class Tiling(Struct, frozen=True, gc=False):
    """How many regions of `width` x `height` cores fit a mesh, and whether the serpentine runs `upright` or along x."""

    width: int
    height: int
    across: int
    down: int
    upright: bool = False

    @classmethod
    def of(cls, mesh_width: int, mesh_height: int, width: int, height: int, upright: bool = False) -> Tiling:
        """The densest grid of equal, unturned rectangles."""
        return cls(width, height, mesh_width // width, mesh_height // height, upright)

    @property
    def count(self) -> int:
        """Regions a wafer."""
        return self.across * self.down

    def place(self, index: int) -> tuple[int, Rect]:
        """Wafer and rectangle of the region of this index."""
        wafer, slot = divmod(index, self.count)
        lane, step = divmod(slot, self._lane)
        step = step if lane % 2 == 0 else self._lane - 1 - step
        column, row = (lane, step) if self.upright else (step, lane)
        return wafer, Rect(column * self.width, row * self.height, self.width, self.height)

    @property
    def _lane(self) -> int:
        return self.down if self.upright else self.across

    def arrival(self, index: int) -> str:
        """How the hidden state comes to a region: "off wafer", "enter, turning" or "enter"."""
        slot = index % self.count
        if slot == 0:
            return "off wafer"
        return "enter, turning" if slot % self._lane == 0 else "enter"


def check_region(wafer: Wafer, width: int, height: int) -> None:
    """A region, x by y, lies on the mesh.

    Raises:
        CompileError: it is larger.
    """
    most_x, most_y = wafer.mesh.size
    if not (1 <= width <= most_x and 1 <= height <= most_y):
        raise CompileError(
            f"A region of {width}x{height} cores does not fit {wafer.name}.",
            remedy=f"Use at most {most_x}x{most_y} (x by y).",
        )
