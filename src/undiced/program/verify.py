"""verify: holds a program against the instruction table. Run between passes and before an engine takes a program.

A program that passes has only instructions that its machine may carry, complete, within their buffers and slots.
"""

from __future__ import annotations

from undiced.core.errors import CompileError
from undiced.program.isa import INSTRUCTIONS, NONE, Instr, Op
from undiced.program.program import Program

_BUFFERS = ("dst", "a", "b", "c")
_OPTIONAL = ("bias",)  # may be absent wherever the table allows them; so may some weights
_OPTIONAL_WEIGHT = frozenset({Op.ROPE, Op.ATTENTION, Op.RMSNORM})


def verify(program: Program) -> None:
    """Raises CompileError that names the first instruction which breaks a rule of the table."""
    for stream in program.streams:
        for index, instr in enumerate(stream.instrs):
            fault = _fault(program, instr)
            if fault:
                raise CompileError(f"Instruction {index} of stream {stream.name!r} ({instr.op.name}): {fault}.")
    for region in program.regions:
        if not 0 <= region.code < len(program.streams):
            raise CompileError(f"Region {region.name!r} runs stream {region.code} of {len(program.streams)}.")


def _fault(program: Program, instr: Instr) -> str:
    row = INSTRUCTIONS[instr.op]
    if program.kind not in row.machines:
        return f"a {program.kind} can't carry it"
    if len(instr.p) != len(row.ints) or len(instr.f) != len(row.floats):
        return f"{len(instr.p)} integers and {len(instr.f)} floats, the table has {len(row.ints)} and {len(row.floats)}"
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
