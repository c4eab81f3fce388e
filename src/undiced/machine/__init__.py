"""What we compute on: cores, meshes, links, wafers, and closed-form costs. Knows no model.

The public names are loaded on first use: who computes on a host needs no wafer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.late import late

if TYPE_CHECKING:
    from undiced.machine.lookup import find_machine as find_machine
    from undiced.machine.lookup import load_machine as load_machine
    from undiced.machine.presets import PRESETS as PRESETS
    from undiced.machine.presets import toy as toy
    from undiced.machine.presets import wse1 as wse1
    from undiced.machine.presets import wse2 as wse2
    from undiced.machine.presets import wse3 as wse3
    from undiced.machine.wafer import System as System
    from undiced.machine.wafer import Wafer as Wafer

_HOMES = {
    "find_machine": "lookup",
    "load_machine": "lookup",
    **dict.fromkeys(("PRESETS", "toy", "wse1", "wse2", "wse3"), "presets"),
    "System": "wafer",
    "Wafer": "wafer",
}
__all__ = ["PRESETS", "System", "Wafer", "find_machine", "load_machine", "toy", "wse1", "wse2", "wse3"]
__getattr__ = late(__name__, _HOMES)
