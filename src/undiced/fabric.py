"""Kernels for the fabric, written by hand: `from undiced import fabric`, or the names that stand here.

docs/fabric.md says how one is written, and examples/fabric has a dozen.
"""

from __future__ import annotations

from undiced.core.errors import KernelError as KernelError
from undiced.sim.fabric.kernel.array import f16 as f16
from undiced.sim.fabric.kernel.array import f32 as f32
from undiced.sim.fabric.kernel.code import Code as Code
from undiced.sim.fabric.kernel.kernel import Kernel as Kernel
from undiced.sim.fabric.kernel.layout import CORE as CORE
from undiced.sim.fabric.kernel.layout import EAST as EAST
from undiced.sim.fabric.kernel.layout import NORTH as NORTH
from undiced.sim.fabric.kernel.layout import SOUTH as SOUTH
from undiced.sim.fabric.kernel.layout import WEST as WEST
from undiced.sim.fabric.kernel.layout import way as way
from undiced.sim.fabric.kernel.result import Result as Result
from undiced.sim.fabric.routes import Command as Command
from undiced.sim.fabric.routes import Control as Control

__all__ = [
    "CORE",
    "EAST",
    "NORTH",
    "SOUTH",
    "WEST",
    "Code",
    "Command",
    "Control",
    "Kernel",
    "KernelError",
    "Result",
    "f16",
    "f32",
    "way",
]
