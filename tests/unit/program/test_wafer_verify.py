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
from undiced.program.wafer.layout import Axis, Dim, Keeper, Partial, Replicate, Shard, Spread
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.table import RULES
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import Kind, Value, View
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


def mixture(
    changes: dict[str, dict[str, object]] | None = None,
    more: tuple[Value, ...] = (),
    added: tuple[isa.Instruction, ...] = (),
) -> WaferProgram:
    """A program whose experts lie on two groups of columns; values of its mixture's stream declared otherwise, others
    added, and instructions that follow."""
    program = compile_mesh(tiny("qwen3-moe")[0], 3, 4, context=32, groups=2)
    for number, stream in enumerate(program.streams):
        if "moe.ids" in [value.name for value in stream.values]:
            values = tuple(replace(v, **(changes or {}).get(v.name, {})) for v in stream.values)
            found = replace(stream, values=(*values, *more), instructions=(*stream.instructions, *added))
            streams = (*program.streams[:number], found, *program.streams[number + 1 :])
            return replace(program, streams=streams)
    raise AssertionError("no mixture")


def mixture_value(name: str) -> Value:
    return next(v for stream in mixture().streams for v in stream.values if v.name == name)


def like_active(columns: Spread, dims: slice = slice(None)) -> Value:
    """A new value as what is sent down, with other columns."""
    active = mixture_value("moe.active.all")
    return Value("new", active.dims[dims], active.dtype, active.rows, columns)


OWN = (Keeper("moe.ids", 2, 4), Shard("feature", 2))
SOMEWHERE = {
    "new as all x2": lambda: mixture(
        more=(like_active((Replicate(2), OWN[1])),), added=(isa.Apply("n", "exp", "new", "moe.active.all"),)
    ),
    "new has 15 elements": lambda: mixture(
        more=(like_active((Shard("feature", 4),)),), added=(isa.Copy("n", "new", "moe.active.all"),)
    ),
    "has not all of": lambda: mixture(
        more=(like_active(OWN, slice(1, None)),), added=(isa.Fold("n", "sum", "new", "moe.active.all"),)
    ),
    "moe.active.all as who has moe.ids.*new as feature": lambda: mixture(
        more=(like_active(OWN[1:], slice(1, None)),), added=(isa.Fold("n", "sum", "new", "moe.active.all"),)
    ),
    "moe.gate.terms as all x2": lambda: mixture(
        {"moe.gate.terms": {"columns": (Replicate(2), OWN[1])}, "moe.payload": {"columns": ()}}
    ),
    "moe.gate.terms as who has moe.ids by 3": lambda: mixture(
        {"moe.gate.terms": {"columns": (Keeper("moe.ids", 2, 3), OWN[1])}, "moe.payload": {"columns": ()}}
    ),
    "'nowhere', which the stream does not declare": lambda: mixture(
        {"moe.gate.terms": {"columns": (Keeper("nowhere", 2, 4), OWN[1])}}
    ),
    "moe.payload.sum as own": lambda: mixture({"moe.payload.sum": {"columns": ()}}),
    "moe.active .*as own|moe.active.all .*; moe.active as own": lambda: mixture({"moe.active": {"columns": ()}}),
    "is activation, and lies with experts of which cores have 0": lambda: mixture(
        {"moe.gate.terms": {"columns": (Keeper("moe.ids", 2, 0), OWN[1])}}
    ),
    "is weight, and lies with experts": lambda: mixture({mixture_down(): {"columns": OWN}}),
    "written more than once": lambda: mixture(added=(isa.Scale("n", "add", "moe.ids", "moe.ids", 1.0),)),
    "no stack|on columns lie moe.active.all": lambda: mixture({mixture_down(): {"columns": (Replicate(2), OWN[1])}}),
    "shared out in turn": lambda: mixture({mixture_down(): {"columns": (Shard("expert", 2, "cyclic"), OWN[1])}}),
}


def mixture_down() -> str:
    """The stack that is multiplied last."""
    stacks = [
        i.weights[0] for s in mixture().streams for i in s.instructions if isinstance(i, isa.Product) and i.expert
    ]
    return stacks[-1]


def test_a_function_of_what_is_where_its_expert_is_stays_there() -> None:
    verify(mixture(more=(like_active(OWN),), added=(isa.Apply("n", "exp", "new", "moe.active.all"),)))


@pytest.mark.parametrize("what", SOMEWHERE)
def test_what_is_where_its_expert_is_is_nowhere_else(what: str) -> None:
    with pytest.raises(CompileError, match=what):
        verify(SOMEWHERE[what]())
