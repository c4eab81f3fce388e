"""Rules of order: every value is written before it is read, weights and tables by nobody, states along each region."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.lifetimes import own_reads
from undiced.program.wafer.operands import writes
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.share import Extent
from undiced.program.wafer.value import Kind


@dataclass(slots=True)
class Flow:
    """What a stream needs of states and what it leaves.

    Attributes:
        needs: states that runs before it must have written, with the instruction that reads each; arrives: those that
            it takes from the region before; makes: those that it leaves.
    """

    needs: dict[str, int] = field(default_factory=dict)
    arrives: set[str] = field(default_factory=set)
    makes: set[str] = field(default_factory=set)


def ordered(scope: Scope, flow: Flow) -> Iterator[tuple[int, Fault]]:
    """Every instruction that reads what is not written yet, or writes what nobody may; fills in `flow`."""
    written: dict[str, list[Extent]] = defaultdict(list)
    for index, instruction in enumerate(scope.stream.instructions):
        if isinstance(instruction, isa.Transfer):
            flow.arrives.add(instruction.a)
        for name in own_reads(instruction):
            stored = scope.shares.stored(name)
            if stored.kind is Kind.STATE and stored.name not in flow.makes:
                flow.needs.setdefault(stored.name, index)
            elif stored.kind is Kind.ACTIVATION and not _covered(scope.shares.extent(name), written[stored.name]):
                yield index, Fault(f"it reads {name}, of which not all is written before")
        for name in writes(instruction):
            yield from ((index, fault) for fault in _write(scope, instruction, name))
            stored = scope.shares.stored(name)
            if stored.kind is Kind.STATE:
                flow.makes.add(stored.name)
            else:
                _add(written[stored.name], scope.shares.extent(name))


def _write(scope: Scope, instruction: isa.Instruction, name: str) -> Faults:
    kind = scope.shares.stored(name).kind
    if kind in (Kind.WEIGHT, Kind.TABLE) or (kind is Kind.CACHE) != isinstance(instruction, isa.Append):
        yield Fault(f"it writes {name}, which is {kind.value}")
    if scope.shares.stored(name).once and not (
        (isinstance(instruction, isa.Slice) and scope.shares.constant(instruction.a))
        or isinstance(instruction, isa.Widen)
        or name == getattr(instruction, "scratch", "")
    ):
        yield Fault(f"it writes {name}, which is said to be the same for all tokens")
    if isinstance(instruction, isa.Product | isa.ShiftProduct | isa.ShiftScores):
        x, made = scope.shares.extent(instruction.x), scope.shares.extent(name)
        if x.value == made.value and x.meets(made):
            yield Fault(f"it writes {name} over its own x {instruction.x}")


def _add(written: list[Extent], extent: Extent) -> None:
    """Join what is written; neighbors become one."""
    touching = [e for e in written if e.start <= extent.stop and extent.start <= e.stop]
    joined = [*touching, extent]
    written[:] = [e for e in written if e not in touching]
    written.append(Extent(extent.value, min(e.start for e in joined), max(e.stop for e in joined)))


def _covered(extent: Extent, written: list[Extent]) -> bool:
    return any(e.start <= extent.start and extent.stop <= e.stop for e in written)


def handed_on(program: WaferProgram, flows: list[Flow]) -> Faults:
    """Along each region's runs, and from region to region."""
    before: set[str] | None = None
    for region in program.regions:
        have: set[str] = set()
        for run in region.runs:
            flow, stream = flows[run.stream], program.streams[run.stream].name
            for name, index in flow.needs.items():
                if name not in have:
                    what = f"reads state {name} at instruction {index}, which no run before it writes"
                    yield Fault(f"stream {stream!r} in region {region.name!r} {what}")
            for name in flow.arrives:
                if before is None or name not in before:
                    what = f"takes {name} from the region before, which doesn't have it"
                    yield Fault(f"stream {stream!r} in region {region.name!r} {what}")
            have |= flow.makes
        before = have
