"""verify: holds a wafer program against every rule of its language. Run after the last pass, at load, before executors.

Knows the order of rules, because later ones rely on earlier ones, and how what they find is said; rules themselves are
in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from undiced.core.errors import CompileError
from undiced.program.wafer.fabric import Fabric
from undiced.program.wafer.instruction import Instruction
from undiced.program.wafer.operands import reads, writes
from undiced.program.wafer.program import Region, Stream, WaferProgram
from undiced.program.wafer.rules import addresses, hand_overs, individuals, limits, regions, routes, sources, values
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.flow import Flow, handed_on, ordered
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.rules.table import RULES


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a verifier may know of the machine: cores of a wafer (width, height), bytes of each core's memory, and what
    its routers and queues have."""

    mesh: tuple[int, int]
    sram_bytes: int
    fabric: Fabric


_PASSED: WeakValueDictionary[tuple[int, Hardware | None], WaferProgram] = WeakValueDictionary()


def verify(program: WaferProgram, hardware: Hardware | None = None) -> None:
    """Hold a program against the rules, and against the machine where that is known. Asked again, it knows the answer.

    Raises:
        CompileError: it breaks a rule; names the stream, the instruction and the operand, and what would help.
    """
    key = id(program), hardware
    if _PASSED.get(key) is not program:
        _verify(program, hardware)
        _PASSED[key] = program


def _verify(program: WaferProgram, hardware: Hardware | None) -> None:
    _raise("", limits.counts(program))
    _raise("", limits.numbers(program))
    _raise("", regions.trees(program))
    _raise("", regions.regions(program, hardware.mesh if hardware else None))
    _raise("", individuals.individuals(program))
    for stream, fault in values.declared(program):
        _raise(f"Stream {stream.name!r}: ", [fault])
    scopes = [Scope.of(program, stream, ran) for stream, ran in zip(program.streams, _running(program), strict=True)]
    flows = [_stream(scope, hardware) for scope in scopes]
    _raise("", handed_on(program, flows))
    _raise("", hand_overs.hand_overs(program))
    _raise("", addresses.runs(program, scopes, hardware.sram_bytes if hardware else None))
    _raise("", sources.sources(program))
    _raise("", sources.again(program))
    _raise("", routes.routes(program, hardware.fabric if hardware else None))


def _running(program: WaferProgram) -> list[tuple[Region, ...]]:
    """The regions that run each stream."""
    found: list[dict[tuple[int, int], Region]] = [{} for _ in program.streams]  # one of each size will do
    for region in program.regions:
        for run in region.runs:
            found[run.stream].setdefault((region.rows, region.columns), region)
    return [tuple(each.values()) for each in found]


def _stream(scope: Scope, hardware: Hardware | None) -> Flow:
    where, stream = f"Stream {scope.stream.name!r}: ", scope.stream
    _raise(where, values.placed(scope))
    for index, instruction in enumerate(stream.instructions):
        place = _place(stream, index, instruction)
        _raise(place, _operands(scope, instruction))
        _raise(place, RULES[type(instruction)](instruction, scope))
    flow = Flow()
    for index, fault in ordered(scope, flow):
        _raise(_place(stream, index, stream.instructions[index]), [fault])
    _raise(where, addresses.stream(scope, hardware.sram_bytes if hardware else None))
    return flow


def _operands(scope: Scope, instruction: Instruction) -> Faults:
    for name in (*reads(instruction), *writes(instruction)):
        if name not in scope.values:
            yield Fault(f"it names {name!r}, which the stream does not declare")
    if not all(writes(instruction)) or len(set(writes(instruction))) < len(writes(instruction)):
        yield Fault("it writes one value twice")
    required = ("x", "a", "b", "cosine", "sine", "table", "ids", "result", "cache")
    several = (*getattr(instruction, "weights", ()), *getattr(instruction, "results", ()))
    if not all((*(getattr(instruction, name, "?") for name in required), *several)):
        yield Fault("an operand is missing")


def _place(stream: Stream, index: int, instruction: Instruction) -> str:
    kind = type(instruction).__name__.lower()
    return f"Instruction {index} of stream {stream.name!r} ({kind} of {instruction.node}): "


def _raise(where: str, faults: Iterable[Fault]) -> None:
    """The first fault as an error: rules rely on those before them, so that no other is looked for."""
    for fault in faults:
        raise CompileError(
            f"{where}{fault.what if where else fault.what[:1].upper() + fault.what[1:]}.", remedy=fault.remedy
        )
