"""verify: holds a program against the instruction table. Run between passes and before an engine takes a program.

A program that passes has only instructions that its machine may carry, complete, within their buffers and slots.
"""

from __future__ import annotations

import math

from undiced.core.errors import CompileError
from undiced.program.isa import INSTRUCTIONS, NONE, Instr, Op
from undiced.program.program import Program, Region

_BUFFERS = ("dst", "a", "b", "c")
_MOST = 1 << 30
_MOST_WAFERS = 1 << 16
_MOST_PACKED = (1 << 63) - 1  # several small numbers may share one
_OPTIONAL = ("bias",)  # may be absent wherever the table allows them; so may some weights
_OPTIONAL_WEIGHT = frozenset({Op.ROPE, Op.ATTENTION, Op.RMSNORM})


def verify(program: Program) -> None:
    """Raises CompileError that names the first instruction which breaks a rule of the table."""
    for stream in program.streams:
        for index, instr in enumerate(stream.instrs):
            fault = _fault(program, instr)
            if fault:
                raise CompileError(f"Instruction {index} of stream {stream.name!r} ({instr.op.name}): {fault}.")
    if not program.regions:
        raise CompileError("The program has no regions.")
    if not (
        1 <= program.bounds.batch <= _MOST and 1 <= program.bounds.context <= _MOST and 1 <= program.vocab <= _MOST
    ):
        raise CompileError(f"{program.bounds} and a vocabulary of {program.vocab} are out of range.")
    if not all(math.isfinite(value) for _, value in program.facts):
        raise CompileError("A fact of the program is no finite number.")
    for region in program.regions:
        fault = _region_fault(program, region)
        if fault:
            raise CompileError(f"Region {region.name!r} {fault}.")


def _region_fault(program: Program, region: Region) -> str:
    if not 0 <= region.code < len(program.streams):
        return f"runs stream {region.code} of {len(program.streams)}"
    rect = region.rect
    if min(rect.x, rect.y) < 0 or min(rect.width, rect.height, region.stride_x, region.stride_y) < 1:
        return f"covers {rect} in strides of {region.stride_x} and {region.stride_y}"
    if max(rect.x, rect.y, rect.width, rect.height) > _MOST or not 0 <= region.wafer < _MOST_WAFERS:
        return f"covers {rect} of wafer {region.wafer}"
    return ""


def _fault(program: Program, instr: Instr) -> str:
    row = INSTRUCTIONS[instr.op]
    if program.kind not in row.machines:
        return f"a {program.kind} can't carry it"
    if len(instr.p) != len(row.ints) or len(instr.f) != len(row.floats):
        return f"{len(instr.p)} integers and {len(instr.f)} floats, the table has {len(row.ints)} and {len(row.floats)}"
    if not all(-_MOST <= value <= _MOST_PACKED for value in instr.p) or not all(map(math.isfinite, instr.f)):
        return f"{instr.p} and {instr.f} are out of range"
    if program.kind != "host":
        return ""
    return _operand_fault(program, instr) or _range_fault(program, instr)


def _operand_fault(program: Program, instr: Instr) -> str:
    row = INSTRUCTIONS[instr.op]
    for name in (*_BUFFERS, "weight", "bias"):
        index = getattr(instr, name)
        limit = len(program.buffers) if name in _BUFFERS else len(program.slots)
        optional = name in _OPTIONAL or (name == "weight" and instr.op in _OPTIONAL_WEIGHT)
        if index == NONE:
            if name in row.operands and not optional:
                return f"lacks {name}"
        elif name not in row.operands:
            return f"has {name}, which the table does not"
        elif not 0 <= index < limit:
            return f"{name} is {index} of {limit}"
    return ""


def _range_fault(program: Program, instr: Instr) -> str:
    """Columns beyond a buffer, and matrices of another shape than the instruction says."""
    if instr.op is Op.MATMUL:
        start, rows, columns = instr.p
        slot = program.slots[instr.weight]
        if (slot.rows, slot.columns) != (rows, columns):
            return f"weight {slot.name} is {slot.rows} x {slot.columns}, not {rows} x {columns}"
        if start + rows > program.buffers[instr.dst].width or columns > program.buffers[instr.a].width:
            return "it leaves its buffers"
    if instr.op in (Op.KV_STORE, Op.ATTENTION) and not 0 <= instr.param("layer") < len(program.kv):
        return f"layer {instr.param('layer')} of {len(program.kv)}"
    return ""
