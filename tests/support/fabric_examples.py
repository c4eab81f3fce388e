"""The kernels of examples/fabric, by name, as a user's own files would be loaded."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from undiced.fabric import Kernel, Result

FOLDER = Path(__file__).parents[2] / "examples" / "fabric"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))

# Cycles of the kernels as they stand: wires alone (no set-ups, 1 wavelet per cycle), then on WSE-2 and WSE-3.
CYCLES = {
    "all_sum": (158, 308, 316),
    "chain": (154, 184, 192),
    "copy_line": (12, 42, 43),
    "gather": (2464, 2494, 2495),
    "level_tree": (154, 310, 315),
    "matmul": (448, 1416, 1408),
    "matvec": (106, 213, 212),
    "multicast": (36, 66, 68),
    "star": (66, 180, 181),
    "stencil": (192, 1118, 1146),
    "tree": (88, 194, 200),
    "two_phase": (173, 230, 247),
}


@dataclass(frozen=True, slots=True)
class Example:
    """A file's functions."""

    kernel: Callable[..., Kernel]
    check: Callable[[Result], None]


@cache
def example(name: str) -> Example:
    """The example of this name."""
    found = runpy.run_path(str(FOLDER / f"{name}.py"))
    return Example(found["kernel"], found["check"])
