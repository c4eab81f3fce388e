"""What we compute on: cores, meshes, links, wafers, and closed-form costs. Knows no model."""

from undiced.machine.lookup import find_machine, load_machine
from undiced.machine.presets import PRESETS, toy, wse1, wse2, wse3
from undiced.machine.wafer import System, Wafer

__all__ = ["PRESETS", "System", "Wafer", "find_machine", "load_machine", "toy", "wse1", "wse2", "wse3"]
