"""What power a program takes, as one dictionary that `undiced power --json` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from undiced.study.answer import Answer

if TYPE_CHECKING:
    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.power.power import Loaded, Power

_CELLS = 26  # along the longer side of a map: about a square centimeter each


def power_answer(program: WaferProgram, wafer: Wafer, found: Power) -> Answer:
    """Every figure of `found`, with what it stands on."""
    from undiced.machine.energy import energy_of
    from undiced.sim.outlook import mapping_of
    from undiced.sim.power.check import check
    from undiced.sim.power.density import coarse
    from undiced.sim.views.power import dense

    beside, hot = check(), found.hot
    return {
        "model": program.model,
        "machine": program.machine,
        "mapping": mapping_of(program),
        "wafers": found.wafers,
        "context": found.timing.step.context,
        "clock_hz": found.timing.clock_hz,
        "source": "simulated; energies assumed",
        "draws": {"drawn": found.drawn, "kept": found.kept},
        "counts_per_token": found.counts,
        "work_j_per_token": found.work_j.as_dict(),
        "operators_j_per_token": {node: each.as_dict() for node, each in found.nodes.items()},
        "parts_j_per_token": {name: each.as_dict() for name, each in found.parts.items()},
        "idle_w_per_wafer": found.idle_w.as_dict(),
        "one_stream": _loaded(found.one),
        "all_streams": _loaded(found.all),
        "densest_cm2": {
            "wafer": hot.window.wafer,
            "x": hot.window.x,
            "y": hot.window.y,
            "side_cores": hot.window.side,
            "w_while_a_token_is_there": hot.at_once.as_dict(),
            "w_on_average": hot.mean.as_dict(),
            "amperes": hot.amperes.as_dict(),
            "published_mean_w": found.limit_w_per_cm2.as_dict(),
        },
        "current_step_a": found.step_a.as_dict(),
        "coolant": {"l_per_min_per_system": found.flow_l_per_min, "rise_k": found.all.rise_k.as_dict()},
        "map_w_per_cm2": [dense(coarse(grid, _CELLS), wafer).round(3).tolist() for grid in found.grids],
        "check": {
            "what": beside.what,
            "published_w": beside.published.value,
            "wafer_w": beside.wafer_w.as_dict(),
            "system_w": beside.system_w.as_dict(),
        },
        "constants": {name: asdict(each) for name, each in energy_of(wafer).constants()},
    }


def _loaded(found: Loaded) -> Answer:
    return {
        "streams": found.streams,
        "tokens_per_second": found.tokens_per_second,
        "wafer_w": found.wafer_w.as_dict(),
        "system_w": found.system_w.as_dict(),
        "j_per_token": found.token_j.as_dict(),
        "idle_share": found.idle.as_dict(),
        "hungriest_wafer_a": found.amperes.as_dict(),
        "coolant_rise_k": found.rise_k.as_dict(),
    }
