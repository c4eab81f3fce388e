"""How silicon comes out of a fab: densities of defects, how they gather, what a wafer costs, dies of a GPU's size.

Figures with sources, and `Process`, which says how defects fall. Knows no machine; draws nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from undiced.core.errors import CompileError
from undiced.machine.constant import assumed, derived, published

DENSITY = published(0.001, "1/mm^2", "vendor's article on defects, 2025-01: about 0.001 at 5 nm")
CLUSTERING = assumed(2, "1", "alpha of a negative binomial, 1 to 5 in textbooks; no wafer's map is published", 1, 5)
EDGE = assumed(1, "1", "how much denser defects are at the rim than in the middle", 0, 3)
EDGE_POWER = assumed(4, "1", "of the distance from the middle, by which density rises towards the rim", 2, 8)
PATCH = assumed(1, "1", "further defects around one, on average, where defects gather", 0, 3)
PATCH_CORES = assumed(3, "core", "how far such a patch reaches: a deviation", 1, 10)
ROUTER_SHARE = assumed(0.10, "1", "of a core's area, its router", 0.05, 0.2)
LINK_SHARE = assumed(0.05, "1", "of a core's area, wires of its links that a defect cuts", 0.02, 0.1)
FATAL_SHARE = assumed(0, "1", "of defects, those that no spare helps: power, clock, the wafer's edge", 0, 0.01)
FIELDS_X, FIELDS_Y = 7, 12  # reticle fields of 84; which side has 12 is not published
WAFER_RADIUS_MM = published(150, "mm", "wafers of 300 mm")
WAFER_SIDE_MM = published(215, "mm", "vendor: 215 x 215 mm")
WAFER_USD = published(20_000, "US$", "[SA26]: about 20,000 a processed wafer")
GPU_AREA_MM2 = published(814, "mm^2", "vendor of the H100")
GPU_BLOCKS = published(144, "1", "vendor of the H100: multiprocessors built")
GPU_BLOCKS_ENABLED = published(132, "1", "vendor of the H100: multiprocessors enabled")
GPU_BLOCKS_SHARE = assumed(0.6, "1", "of the die, multiprocessors; defects elsewhere cost the die", 0.5, 0.9)
GPU_TRANSISTORS = published(80e9, "1", "vendor of the H100")
GPU_BLOCK_SRAM = published(
    512 * 1024, "byte", "vendor of the H100: registers 256 KiB, first-level cache 256 KiB a block"
)
SRAM_CELL = assumed(6, "1", "transistors a bit, in textbooks", 6, 8)
GPU_DIES = derived(63, "1", "pi r^2 / A - pi d / sqrt(2 A) of a wafer of 300 mm, 814 mm^2 a die")
_DENSITY_MAX = 10.0  # per mm^2: every core is hit
_SHARE = "a share from 0 to 1"


@dataclass(frozen=True, slots=True)
class Process:
    """How defects fall on wafers.

    Attributes:
        density: defects a square millimeter, on average.
        alpha: of the gamma distribution by which a reticle field's density differs from the others'; infinity: not.
        edge: how much denser the rim is than the middle.
        patch: further defects around one, on average, within some `patch_cores`.
        repeaters: flaws of the mask, on average: each is a defect at the same place of every field.
        router_share, link_share: of defects; fatal_share: those after which no spare helps.

    Raises:
        CompileError: a figure out of range.
    """

    density: float = DENSITY.value
    alpha: float = inf
    edge: float = 0.0
    patch: float = 0.0
    patch_cores: float = PATCH_CORES.value
    repeaters: float = 0.0
    router_share: float = ROUTER_SHARE.value
    link_share: float = LINK_SHARE.value
    fatal_share: float = FATAL_SHARE.value

    def __post_init__(self) -> None:
        _within(
            "density", self.density, 0.0, _DENSITY_MAX, f"defects a square millimeter: {DENSITY.value:g} is published"
        )
        _within("alpha", self.alpha, 0.01, inf, "2 gathers defects, a large one spreads them")
        _within("edge", self.edge, 0.0, 100.0, "1: twice as many at the rim")
        _within("patch", self.patch, 0.0, 100.0, "further defects around one")
        _within("patch_cores", self.patch_cores, 0.0, 1000.0, "a deviation, in cores")
        _within("repeaters", self.repeaters, 0.0, 1000.0, "flaws of a mask")
        for name in ("router_share", "link_share", "fatal_share"):
            _within(name, getattr(self, name), 0.0, 1.0, _SHARE)
        _within("router_share + link_share", self.router_share + self.link_share, 0.0, 1.0, _SHARE)


def gathered(density: float) -> Process:
    """A process whose defects gather: fields differ, the rim is denser, and one defect has others around it."""
    return Process(density, CLUSTERING.value, EDGE.value, PATCH.value)


def _within(name: str, value: float, low: float, high: float, what: str) -> None:
    if not (low <= value <= high and (isfinite(value) or name == "alpha")):
        most = f" to {high:g}" if isfinite(high) else " on"
        raise CompileError(f"A {name} of {value:g} is out of range.", remedy=f"Use {low:g}{most}: {what}.")
