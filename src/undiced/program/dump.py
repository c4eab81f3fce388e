"""dump: a program as stable text, for eyes, diffs and golden files. Driven by the instruction tables."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from undiced.core.manifest import WeightSlot
from undiced.program.artifact import VERSION
from undiced.program.host.field import NONE, Kind
from undiced.program.host.instr import Instr
from undiced.program.host.program import HostProgram
from undiced.program.host.table import flags_of, name_of, words_of
from undiced.program.wafer.dump import lines as wafer_lines
from undiced.program.wafer.program import WaferProgram


def dump(program: HostProgram | WaferProgram) -> str:
    """One line a fact, region, buffer, slot and instruction; equal programs give equal text."""
    return "\n".join([*_head(program), *_body(program), ""])


def _body(program: HostProgram | WaferProgram) -> Iterator[str]:
    if isinstance(program, WaferProgram):
        yield from wafer_lines(program)
        yield from (_slot(number, slot) for number, slot in enumerate(program.slots))
        return
    yield from _host(program)


def _head(program: HostProgram | WaferProgram) -> Iterator[str]:
    bounds = program.bounds
    kind = "wafer" if isinstance(program, WaferProgram) else program.kind
    yield f"program {program.model} for {program.machine} ({kind}, version {VERSION})"
    yield f"graph {program.graph_digest}"
    yield f"machine {program.machine_digest}"
    yield f"bounds batch={bounds.batch} context={bounds.context} vocab={program.vocab}"
    yield from (f"fact {name} = {value:g}" for name, value in program.facts)


def _host(program: HostProgram) -> Iterator[str]:
    yield f"cores {program.cores}"
    for i, layer in enumerate(program.kv):
        yield f"kv {i} {layer.type} kv_heads={layer.kv_heads} head_dim={layer.head_dim} window={layer.window}"
    for i, buffer in enumerate(program.buffers):
        yield f"buffer {i} {buffer.name} {buffer.rows} x {buffer.width} {buffer.kind}{' own' * buffer.own}"
    yield from (_slot(i, slot) for i, slot in enumerate(program.slots))
    yield from (f"constant {i} of {len(values)} values" for i, values in enumerate(program.constants))
    yield "instructions"
    yield from (f"  {_instr(instr)}" for instr in program.instrs)


def _slot(index: int, slot: WeightSlot) -> str:
    sources = " + ".join(s.tensor + "".join(f"|{t.kind}" for t in s.transforms) for s in slot.sources)
    return f"slot {index} {slot.name} {slot.rows} x {slot.columns} {slot.format} <- {sources or '(none)'}"


def _instr(instr: Instr) -> str:
    parts = [name_of(type(instr))]
    for field in words_of(type(instr)):
        value: int | float = getattr(instr, field.name)
        if not (field.kind is Kind.VECTOR and value == NONE):
            parts.append(f"{field.name}={_number(value)}")
    parts += [name for name in flags_of(type(instr)) if getattr(instr, name)]
    return " ".join(parts) + (f"  # {instr.note}" if instr.note else "")


def _number(value: int | float) -> str:
    if isinstance(value, IntEnum):
        return value.name.lower()
    return str(value) if isinstance(value, int) else f"{value:g}"
