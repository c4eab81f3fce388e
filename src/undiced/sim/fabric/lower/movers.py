"""Movers at level 2: which function lowers which instruction. Knows none by itself."""

from __future__ import annotations

from undiced.core.errors import UnsupportedError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.share import Shares
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
        _full(i, frame)
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


def _full(i: isa.Reduce | isa.Multicast, frame: Frame) -> None:
    """Positions that no step has filled hold nothing that could travel here."""
    room, filled = Shares(frame.shares.values, frame.shares.trees).size(i.result), frame.shares.size(i.result)
    if room > filled:
        raise UnsupportedError(
            f"{i.node} moves all {room} elements that a core has room for; the step fills {filled}.",
            remedy="Simulate the program's last position.",
        )
