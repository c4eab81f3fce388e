"""verify: holds a host program against the instruction table. Run after each pass, on every file, before an executor.

A program that passes has only complete instructions whose operands exist, are of the right kind, hold the columns, rows
and shapes that the instruction names, and have been written before. Whether barriers suffice is the compiler's duty.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator
from weakref import WeakValueDictionary

from undiced.core.errors import CompileError
from undiced.core.formats import FORMATS
from undiced.core.kv_type import KV_TYPES
from undiced.program.host.expert_instruction import ExpertGlu, ExpertSum
from undiced.program.host.field import NONE, Kind
from undiced.program.host.instr import SHARD_GRANULE, Instr, Shape
from undiced.program.host.instruction import INSTRUCTIONS, Attention, KvStore, Matmul, Rope, Sample
from undiced.program.host.latent_instruction import HeadMatmul, LatentAttention, LatentStore
from undiced.program.host.program import HostProgram, Operands
from undiced.program.host.table import floats_of, integers_of, name_of

_MOST = 1 << 30
_MOST_CORES = 1 << 10
_MOST_FLOAT = 1e38  # what fits into four bytes


_passed: WeakValueDictionary[int, HostProgram] = WeakValueDictionary()  # by identity: a program never changes


def verify(program: HostProgram) -> None:
    """Raises CompileError that names the first place which breaks a rule. What has passed is not walked again."""
    if _passed.get(id(program)) is program:
        return
    for fault in _program_faults(program):
        raise CompileError(f"{fault}.")
    verify_instrs(program.instrs, program.operands)
    count = sum(isinstance(instr, Sample) for instr in program.instrs)
    if count != 1:
        raise CompileError(f"The program samples {count} times in a step, not once.")
    _passed[id(program)] = program


def vouch(program: HostProgram) -> None:
    """Says that a program passed when it was written down, for who can tell that it is as it was."""
    _passed[id(program)] = program


def verify_instrs(instrs: Iterable[Instr], operands: Operands) -> None:
    """Raises CompileError that names the first instruction which breaks a rule of the table."""
    legal = _legal(operands)
    numbers = {row: [(field.name, legal[field.kind], field.kind) for field in integers_of(row)] for row in INSTRUCTIONS}
    written: set[int] = set()
    for index, instr in enumerate(instrs):
        fault = (
            _number_fault(instr, numbers[type(instr)])
            or instr.fault()
            or _buffer_fault(instr, operands)
            or _shape_fault(instr.shapes(), operands)
            or _special_fault(instr, operands)
            or _order_fault(instr, written)
        )
        if fault:
            raise CompileError(f"Instruction {index} ({name_of(type(instr))}): {fault}.")


def _program_faults(program: HostProgram) -> Iterator[str]:
    bounds = program.bounds
    if not all(1 <= count <= _MOST for count in (bounds.batch, bounds.context, program.vocab)):
        yield f"{bounds} and a vocabulary of {program.vocab} are out of range"
    if not 1 <= program.cores <= _MOST_CORES:
        yield f"A team of {program.cores} cores is out of range"
    for i, buffer in enumerate(program.buffers):
        if not 1 <= buffer.width <= _MOST:
            yield f"Buffer {i} has a width of {buffer.width}"
    for i, slot in enumerate(program.slots):
        sizes = (slot.rows, slot.columns, slot.experts)
        if not all(1 <= size <= _MOST for size in sizes) or slot.format not in FORMATS:
            yield f"Slot {i} is {slot.rows} x {slot.columns} of format {slot.format!r}, {slot.experts} matrices"
    for i, layer in enumerate(program.kv):
        if not (1 <= layer.kv_heads <= _MOST and 1 <= layer.head_dim <= _MOST and 0 <= layer.window <= _MOST):
            yield f"KV layer {i} is {layer}"
        if layer.type not in (KV_TYPES[:1] if layer.latent else KV_TYPES):
            yield f"KV layer {i} is {layer}, of an impossible type"
    if not all(abs(x) <= _MOST_FLOAT for vector in program.constants for x in vector):
        yield "A constant of the program is out of range"
    if not all(math.isfinite(value) for _, value in program.facts):
        yield "A fact of the program is no finite number"


def _legal(operands: Operands) -> dict[Kind, Container[int]]:
    """The values that an integer of each kind may have."""
    buffers, slots = operands.buffers, operands.slots
    return {
        Kind.FLOATS: frozenset(i for i, buffer in enumerate(buffers) if buffer.kind == "f32"),
        Kind.CODES: frozenset(i for i, buffer in enumerate(buffers) if buffer.kind != "f32"),
        Kind.FACTOR: range(len(buffers)),
        Kind.MATRIX: frozenset(i for i, slot in enumerate(slots) if slot.rows > 1),
        Kind.VECTOR: frozenset({NONE, *(i for i, slot in enumerate(slots) if slot.rows == 1)}),
        Kind.CONSTANT: range(len(operands.constants)),
        Kind.KV_LAYER: range(len(operands.kv)),
        Kind.COUNT: range(1, _MOST + 1),
        Kind.OFFSET: range(_MOST + 1),
    }


def _number_fault(instr: Instr, integers: list[tuple[str, Container[int], Kind]]) -> str:
    for name, legal, kind in integers:
        value = getattr(instr, name)
        if value not in legal:
            return f"{name} is {value}, not {kind.value}"
    for name, _, float_kind, _ in floats_of(type(instr)):
        value = getattr(instr, name)
        low = -_MOST_FLOAT if float_kind is None else 0
        if not low <= value <= _MOST_FLOAT or (value == 0 and float_kind is Kind.POSITIVE):
            return f"{name} is {value}"
    return ""


def _buffer_fault(instr: Instr, operands: Operands) -> str:
    """Columns beyond a buffer; token rows and sampled rows mixed, but where a Gather picks samples."""
    found: list[str] = []
    for spans in (instr.reads(), instr.writes()):
        for index, start, columns in spans:
            buffer = operands.buffers[index]
            if start + columns > buffer.width:
                return f"columns [{start}, {start + columns}) leave buffer {index}, which has {buffer.width}"
            found.append(buffer.rows)
    if instr.row_kind == "gathered":
        return "" if found == ["tokens", "samples"] else "it gathers sampled rows from token rows"
    wanted = found[0] if instr.row_kind == "alike" and found else instr.row_kind
    return "" if all(rows == wanted for rows in found) else f"its buffers must hold rows of {wanted}"


def _order_fault(instr: Instr, written: set[int]) -> str:
    """Buffers that it reads before anything is in them; adds those that it writes."""
    writes = [span.buffer for span in instr.writes()]
    for buffer in (*(span.buffer for span in instr.reads()), *(writes if instr.adds else ())):
        if buffer not in written:
            return f"it reads buffer {buffer}, which nothing has written"
    written.update(writes)
    return ""


def _shape_fault(shapes: Iterable[Shape], operands: Operands) -> str:
    for index, rows, columns in shapes:
        if index == NONE:
            continue
        slot = operands.slots[index]
        if (slot.rows, slot.columns) != (rows or slot.rows, columns):
            return f"weight {slot.name} is {slot.rows} x {slot.columns}, not {rows or slot.rows} x {columns}"
    return ""


def _expert_fault(instr: ExpertGlu | ExpertSum, operands: Operands) -> str:
    """Stacks of other formats than their factor suits, or that do not hold so many matrices."""
    stacks = (instr.gate, instr.up) if isinstance(instr, ExpertGlu) else (instr.down,)
    quantized = operands.buffers[instr.a].kind != "f32"
    for slot in (operands.slots[stack] for stack in stacks):
        if slot.experts != instr.experts:
            return f"weight {slot.name} has {slot.experts} matrices, not {instr.experts}"
        if FORMATS[slot.format].quantized != quantized:
            return f"a must be {Kind.FACTOR.value}"
    if isinstance(instr, ExpertSum) and operands.buffers[instr.dst].kind != "f32":
        return f"dst must be {Kind.FLOATS.value}"
    return ""


def _cached(instr: KvStore | Attention | LatentStore | LatentAttention) -> tuple[int, int, bool]:
    """Heads, columns and kind of the cache that an instruction wants."""
    if isinstance(instr, (KvStore, Attention)):
        return instr.kv_heads, instr.head_dim, False
    return 1, instr.columns if isinstance(instr, LatentStore) else instr.rank + instr.rope, True


def _heads_fault(instr: HeadMatmul, operands: Operands) -> str:
    """A stack that is not one matrix a head; heads of codes that begin within a block of them."""
    slot = operands.slots[instr.weight]
    if slot.experts != instr.heads:
        return f"weight {slot.name} has {slot.experts} matrices, not {instr.heads}"
    coded = operands.buffers[instr.a].kind != "f32"
    if coded and (instr.stride % SHARD_GRANULE or instr.columns % SHARD_GRANULE):
        return f"{instr.columns} of {instr.stride} columns of codes are no multiples of {SHARD_GRANULE}"
    return ""


def _special_fault(instr: Instr, operands: Operands) -> str:
    if isinstance(instr, (KvStore, Attention, LatentStore, LatentAttention)):
        layer = operands.kv[instr.kv_layer]
        if (layer.kv_heads, layer.head_dim, layer.latent) != _cached(instr):
            return f"KV layer {instr.kv_layer} is {layer}"
    if isinstance(instr, (ExpertGlu, ExpertSum)):
        return _expert_fault(instr, operands)
    if isinstance(instr, HeadMatmul) and (fault := _heads_fault(instr, operands)):
        return fault
    if isinstance(instr, (Matmul, HeadMatmul)):
        slot, quantized = operands.slots[instr.weight], operands.buffers[instr.a].kind != "f32"
        if FORMATS[slot.format].quantized != quantized:
            return f"a must be {Kind.FACTOR.value}"
    if isinstance(instr, Rope) and len(operands.constants[instr.constant]) != instr.dims // 2:
        return f"constant {instr.constant} has {len(operands.constants[instr.constant])} values for {instr.dims} dims"
    if isinstance(instr, Sample) and instr.vocab != operands.vocab:
        return f"vocab is {instr.vocab}, the program's {operands.vocab}"
    return ""
