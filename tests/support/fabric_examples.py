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
