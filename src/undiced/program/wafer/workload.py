"""The table from classes of instructions to their work. A test holds that it lacks none."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from undiced.program.wafer import elementwise, movement, shifts
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.products import product
from undiced.program.wafer.share import Shares
from undiced.program.wafer.widenings import widen
from undiced.program.wafer.work import Work

Derive = Callable[[isa.Instruction, Shares], Work]

WORK: dict[type[isa.Operation], Derive] = {
    kind: cast(Derive, derive)
    for kind, derive in (
        (isa.Product, product),
        (isa.Widen, widen),
        (isa.Combine, elementwise.combine),
        (isa.Scale, elementwise.scale),
        (isa.Copy, elementwise.copy),
        (isa.Fill, elementwise.fill),
        (isa.Apply, elementwise.apply),
        (isa.Fold, elementwise.fold),
        (isa.Rotate, elementwise.rotate),
        (isa.Mask, elementwise.mask),
        (isa.Lookup, elementwise.lookup),
        (isa.Append, elementwise.append),
        (isa.Place, elementwise.place),
        (isa.Select, elementwise.select),
        (isa.Draw, elementwise.draw),
        (isa.Mark, elementwise.mark),
        (isa.Pick, elementwise.pick),
        (isa.Reduce, movement.reduce),
        (isa.Multicast, movement.multicast),
        (isa.Slice, elementwise.slice_),
        (isa.Transfer, movement.transfer),
        (isa.Return, movement.return_),
        (isa.Rebind, movement.rebind),
        (isa.Repaint, movement.repaint),
        (isa.Causal, shifts.causal),
        (isa.Read, shifts.read),
        (isa.ShiftProduct, shifts.shift_product),
        (isa.ShiftScores, shifts.shift_scores),
    )
}


def work(instruction: isa.Instruction, shares: Shares) -> Work:
    """What an instruction makes the fullest core do."""
    return WORK[type(instruction)](instruction, shares)
