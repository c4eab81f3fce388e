"""dump: a program as stable text, for eyes, diffs and golden files. Driven by the instruction table."""

from __future__ import annotations

from collections.abc import Iterator

from undiced.core.manifest import WeightSlot
from undiced.program.isa import INSTRUCTIONS, NONE, Flag, Instr
from undiced.program.program import Program, Region


def dump(program: Program) -> str:
    """One line a fact, region, buffer, slot and instruction; equal programs give equal text."""
    return "\n".join(_lines(program)) + "\n"


def _lines(program: Program) -> Iterator[str]:
    bounds = program.bounds
    yield f"program {program.model} for {program.machine} ({program.kind}, version {program.version})"
    yield f"graph {program.graph_digest}"
    yield f"machine {program.machine_digest}"
    yield f"bounds batch={bounds.batch} context={bounds.context} vocab={program.vocab}"
    yield from (f"fact {name} = {value:g}" for name, value in program.facts)
    yield from (_region(region, program) for region in program.regions)
    for i, layer in enumerate(program.kv):
        yield f"kv {i} kv_heads={layer.kv_heads} head_dim={layer.head_dim} window={layer.window}"
    for i, buffer in enumerate(program.buffers):
        yield f"buffer {i} {buffer.name} {buffer.rows} x {buffer.width} {buffer.kind}{' own' * buffer.own}"
    yield from (_slot(i, slot) for i, slot in enumerate(program.slots))
    for stream in program.streams:
        yield f"stream {stream.name}"
        yield from (f"  {_instr(instr)}" for instr in stream.instrs)


def _region(region: Region, program: Program) -> str:
    r = region.rect
    stride = f" stride {region.stride_x},{region.stride_y}" if (region.stride_x, region.stride_y) != (1, 1) else ""
    params = f" params {list(region.params)}" if region.params else ""
    code = program.streams[region.code].name
    return f"region {region.name} wafer {region.wafer} {r.width}x{r.height} at {r.x},{r.y}{stride} runs {code}{params}"


def _slot(index: int, slot: WeightSlot) -> str:
    sources = " + ".join(s.tensor + "".join(f"|{t.kind}" for t in s.transforms) for s in slot.sources)
    return f"slot {index} {slot.name} {slot.rows} x {slot.columns} {slot.format} <- {sources or '(none)'}"


def _instr(instr: Instr) -> str:
    row = INSTRUCTIONS[instr.op]
    parts = [instr.op.name]
    parts += [f"{n}={getattr(instr, n)}" for n in ("dst", "a", "b", "c", "weight", "bias") if getattr(instr, n) != NONE]
    parts += [f"{name}={int(value)}" for name, value in zip(row.ints, instr.p, strict=True)]
    parts += [f"{name}={value:g}" for name, value in zip(row.floats, instr.f, strict=True)]
    if instr.flags:
        parts.append("|".join(flag.name or "" for flag in Flag if flag & instr.flags))
    return " ".join(parts) + (f"  # {instr.note}" if instr.note else "")
