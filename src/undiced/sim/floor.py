"""The floor under a program: distance, payload once, multiply-adds at full lanes. This mapping can't be faster.

No set-ups, no software, no ramps, no ports, no transcendentals: what is left is wires and arithmetic.
"""

from __future__ import annotations

from math import ceil

from undiced.machine.collective import AHEAD, repeats, slices_of, wavelets_of
from undiced.machine.cost import CostModel
from undiced.machine.instruction import Load, instr_cost
from undiced.machine.region import unpack
from undiced.machine.vector import COUNT_PER_POSITION, KIND_MASK, LENGTH_PER_POSITION, OVERLAP, Kind
from undiced.machine.wafer import Wafer
from undiced.program import Instr, Op, Program
from undiced.sim.analytic import Step

_MULTIPLY_ADDS = (Kind.FMA16, Kind.FMA32, Kind.FMA16_CACHED, Kind.FMA32_CACHED, Kind.FMA_FULL32)


def floor_cycles(program: Program, wafer: Wafer, step: Step) -> float:
    """Cycles a token that wires and multiply-adds alone take."""
    model = CostModel.of(wafer)
    total = 0.0
    for region in program.regions:
        params = unpack(region.params)
        load = Load(
            positions=max(1, ceil(step.context / params.kv_rows)),
            batch=step.batch,
            clock_hz=step.clock_hz or wafer.system.clock_hz.value,
            io_latency_s=wafer.system.wafer_to_wafer_s.value,
            io_bytes_per_s=wafer.system.io_bytes_per_s.value,
        )
        total += params.repeats * sum(_floor(model, i, load) for i in program.streams[region.code].instrs)
    return total


def _floor(model: CostModel, instr: Instr, load: Load) -> float:
    if instr.op is Op.VECTOR:
        count, length, code, _ = instr.p
        if Kind(code & KIND_MASK) not in _MULTIPLY_ADDS or code & OVERLAP:
            return 0.0
        both = LENGTH_PER_POSITION | COUNT_PER_POSITION
        return count * length * load.batch * (load.positions if code & both else 1) / model.lanes_16bit
    if instr.op in (Op.ALLREDUCE, Op.REDUCE):
        _, elements, element_bytes, span, _, algorithm, _ = instr.p
        if algorithm & AHEAD:
            return 0.0
        count = elements * load.batch * repeats(algorithm, load.positions)
        distance = span if instr.op is Op.ALLREDUCE else span / 2
        return distance * model.hop + wavelets_of(model, count, element_bytes) / slices_of(algorithm) / model.link_rate
    if instr.op is Op.MULTICAST:
        _, elements, element_bytes, span, code = instr.p
        count = elements * load.batch * repeats(code, load.positions)
        return span * model.hop + wavelets_of(model, count, element_bytes) / model.link_rate
    if instr.op is Op.TRANSFER:
        cost = instr_cost(model, instr, load)
        return cost.hops + cost.io
    return 0.0
