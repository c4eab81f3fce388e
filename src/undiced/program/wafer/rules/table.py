"""The table from classes of instructions to their rules. A test holds that it lacks none."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.rules import arithmetic, choices, movers, shifts, widening
from undiced.program.wafer.rules.fault import Faults
from undiced.program.wafer.rules.scope import Scope

Rule = Callable[[isa.Instruction, Scope], Faults]

RULES: dict[type[isa.Operation], Rule] = {
    kind: cast(Rule, rule)
    for kind, rule in (
        (isa.Product, arithmetic.product),
        (isa.Widen, widening.widen),
        (isa.Combine, arithmetic.combine),
        (isa.Scale, arithmetic.scale),
        (isa.Copy, arithmetic.copy),
        (isa.Fill, arithmetic.fill),
        (isa.Apply, arithmetic.apply),
        (isa.Fold, arithmetic.fold),
        (isa.Rotate, arithmetic.rotate),
        (isa.Mask, arithmetic.mask),
        (isa.Lookup, choices.lookup),
        (isa.Append, arithmetic.append),
        (isa.Place, choices.place),
        (isa.Select, choices.select),
        (isa.Draw, choices.draw),
        (isa.Mark, choices.mark),
        (isa.Pick, choices.pick),
        (isa.Reduce, movers.reduce),
        (isa.Multicast, movers.multicast),
        (isa.Slice, movers.slice_),
        (isa.Transfer, movers.transfer),
        (isa.Return, movers.return_),
        (isa.Rebind, movers.rebind),
        (isa.Repaint, movers.repaint),
        (isa.Causal, shifts.causal),
        (isa.Read, shifts.read),
        (isa.ShiftProduct, shifts.shift_product),
        (isa.ShiftScores, shifts.shift_scores),
    )
}
