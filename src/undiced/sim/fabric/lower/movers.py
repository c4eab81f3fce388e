"""Movers at level 2: which function lowers which instruction. Knows none by itself."""

from __future__ import annotations

from undiced.program.wafer import instruction as isa
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.lowered import Lowered
from undiced.sim.fabric.lower.passing import rebind
from undiced.sim.fabric.lower.repaints import repaint
from undiced.sim.fabric.lower.shares import multicast
from undiced.sim.fabric.lower.shifted import shift_product, shift_scores
from undiced.sim.fabric.lower.sums import reduce


def moved(i: isa.Instruction, frame: Frame) -> Lowered | None:
    """What an instruction becomes that moves something between cores, or prepares that; None for any other."""
    if isinstance(i, isa.Reduce | isa.Multicast) and i.compiled:
        with frame.whole():
            return _moved(i, frame)
    return _moved(i, frame)


def _moved(i: isa.Instruction, frame: Frame) -> Lowered | None:
    match i:
        case isa.Reduce():
            return reduce(i, frame)
        case isa.Multicast():
            return multicast(i, frame)
        case isa.ShiftProduct():
            return shift_product(i, frame)
        case isa.ShiftScores():
            return shift_scores(i, frame)
        case isa.Rebind():
            return rebind(i, frame)
        case isa.Repaint():
            return repaint(i, frame)
    return None
