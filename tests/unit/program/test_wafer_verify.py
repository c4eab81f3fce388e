"""Rules of wafer programs: what compilers write keeps to them, and what is changed by hand is named."""

from collections.abc import Callable
from functools import cache

import msgspec
import pytest
from msgspec.structs import replace
from support.mesh_models import tiny
from support.meshes import compile_mesh
from support.tiny_models import case_names

from undiced.compiler.wafer.lower.choices import EXACT, LEAN
from undiced.core.errors import CompileError
from undiced.machine.fabric import hardware
from undiced.machine.presets import toy
from undiced.program import Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.file import decode
from undiced.program.wafer.layout import Axis, Dim, Partial, Shard
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.table import RULES
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import Kind, View
from undiced.program.wafer.verify import verify
from undiced.sim.mesh.executor import EXECUTORS


@cache
def small() -> WaferProgram:
    return compile_mesh(tiny("llama")[0], 3, 4, cuts=(3,), context=32)


def changed(match: Callable[[isa.Instruction], bool], **fields: object) -> WaferProgram:
    """The small program, the first instruction that matches with other fields."""
    program = small()
    for number, stream in enumerate(program.streams):
        for index, each in enumerate(stream.instructions):
            if match(each):
                found = list(stream.instructions)
                found[index] = replace(each, **fields)
                return with_stream(number, instructions=tuple(found))
    raise AssertionError("no such instruction")


def with_stream(number: int, **fields: object) -> WaferProgram:
    streams = list(small().streams)
    streams[number] = replace(streams[number], **fields)
    return replace(small(), streams=tuple(streams))


def revalued(name: str, **fields: object) -> WaferProgram:
    """The small program, the first value of a name declared otherwise."""
    for number, stream in enumerate(small().streams):
        if name in [value.name for value in stream.values]:
            return with_stream(
                number, values=tuple(replace(v, **fields) if v.name == name else v for v in stream.values)
            )
    raise AssertionError("no such value")


@pytest.mark.parametrize("name", case_names())
def test_what_is_lowered_keeps_to_every_rule(name: str) -> None:
    for rows, columns, choices in ((1, 1, EXACT), (5, 7, LEAN), (6, 4, EXACT)):
        verify(compile_mesh(tiny(name)[0], rows, columns, context=32, choices=choices))


def test_every_instruction_has_rules() -> None:
    assert set(RULES) == set(EXECUTORS)


def test_a_program_comes_back_from_its_bytes_and_has_their_digest() -> None:
    program = small()
    again = decode(program.payload)
    assert again == program and again.digest == program.digest


def test_fields_that_nobody_reads_are_refused() -> None:
    content = {**msgspec.msgpack.decode(small().payload), "more": 1}
    with pytest.raises(CompileError, match="fields that are not read"):
        decode(msgspec.msgpack.encode(content))


def is_a(kind: type[isa.Operation]) -> Callable[[isa.Instruction], bool]:
    return lambda each: isinstance(each, kind)


BROKEN = {
    "declare": lambda: changed(is_a(isa.Copy), a="nowhere"),
    "is cache, and must be|must be weight or cache": lambda: changed(is_a(isa.Product), weights=("hidden",) * 3),
    "cache .* is activation": lambda: changed(is_a(isa.Append), cache="attn.q_rotated"),
    "which is weight": lambda: changed(is_a(isa.Combine), result="attn.norm", a="attn.norm", b="attn.norm"),
    "operations run along": lambda: changed(is_a(isa.Product), inner=("hidden",)),
    "is no function": lambda: changed(is_a(isa.Apply), function="sine"),
    "a window of -1": lambda: changed(is_a(isa.Mask), window=-1),
    "no finite number": lambda: changed(is_a(isa.Scale), constant=float("nan")),
    "a line of 7 cores": lambda: changed(is_a(isa.Reduce), line=isa.Line(Axis.ROWS, 7)),
    "no terms of a max": lambda: changed(lambda i: isinstance(i, isa.Reduce) and i.operation == "sum", operation="max"),
    "of which not all is written": lambda: with_stream(0, instructions=small().streams[0].instructions[1:]),
    "shares out": lambda: revalued("embedded", rows=(Shard("width", 3),)),
    "cores of a region|takes 5 rows": lambda: revalued("embedded", rows=(Shard("hidden", 5),)),
    "lies on rows as|on rows lie": lambda: revalued("embedded", rows=()),
    "declared otherwise than in another": lambda: revalued("hidden", rows=(Partial("sum", 3),)),
    "is a view of too many views|of itself": lambda: revalued("attn.q.out", view=View("attn.q.out")),
    "elements .* of payload.all": lambda: revalued("attn.q.out", view=View("payload.all", 1 << 20)),
    "is table, and says": lambda: revalued("attn.norm", kind=Kind.TABLE),
    "are 1 to": lambda: revalued("embedded", dims=(Dim("hidden", 1 << 30),)),
    "which is no slot": lambda: replace(small(), slots=()),
    "does not join its": lambda: replace(small(), trees=(Tree(3, (Level(2),)), *small().trees[1:])),
    "share cores of wafer": lambda: replace(
        small(), regions=tuple(replace(r, wafer=0, rect=Rect(n, 0, 4, 3)) for n, r in enumerate(small().regions))
    ),
    "doesn't have it": lambda: replace(small(), regions=small().regions[1:]),
    "has stream 99": lambda: replace(
        small(), regions=(replace(small().regions[0], runs=(replace(small().regions[0].runs[0], stream=99),)),)
    ),
    "which no run before it writes": lambda: replace(
        small(), regions=(replace(small().regions[0], runs=small().regions[0].runs[2:]),)
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_breaks_a_rule_is_named(what: str) -> None:
    with pytest.raises(CompileError, match=what) as found:
        verify(BROKEN[what]())
    assert found.value.remedy


def test_a_program_beyond_its_machine_is_refused() -> None:
    with pytest.raises(CompileError, match="beyond the mesh of 3 x 3"):
        verify(small(), hardware(toy(3, 3)))
