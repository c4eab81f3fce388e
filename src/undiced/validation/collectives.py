"""One stream of movers on one line of cores: its cycles by the closed forms, and wavelet by wavelet on the fabric.

Knows no sweep and no statistics. Both sides get one stream, one line and one machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from undiced.compiler.wafer.colors import routed, used_by
from undiced.machine.cost import repriced
from undiced.machine.fabric import fabric
from undiced.machine.timeline import critical_path
from undiced.machine.wafer import Wafer
from undiced.program import Bounds, Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Owner, Part, Partial, Replicate, Roots, Shard
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import DType, Kind, Value
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.lower import lower
from undiced.sim.fabric.simulate import simulate, told

Mover = Literal["sum", "share", "apart", "owner"]
_LIMIT = 1 << 24  # cycles of a stream that never ends


@dataclass(frozen=True, slots=True)
class Collective:
    """Movers that follow each other on one tree.

    Attributes:
        kind: what it is counted with. machine: a preset's name.
        elements: of the value that is summed or sent. movers: "sum" of a value of its own; "share" sends the sum before
            to the line ("apart": one end after the other); "owner": the core at the line's end sends to all of it.
    """

    kind: str
    machine: str
    tree: Tree
    elements: int
    wire: Literal["f16", "f32"]
    movers: tuple[Mover, ...]

    @property
    def what(self) -> str:
        """In words."""
        levels = " x ".join(f"{level.size}{'*' if level.star else ''}" for level in self.tree.levels)
        slices = f", {self.tree.slices} slices" if self.tree.slices > 1 else ""
        return f"{', '.join(self.movers)} over {self.tree.span} ({levels}){slices}, {self.elements} {self.wire}"


@dataclass(frozen=True, slots=True)
class Found:
    """Cycles of one collective by the closed form and on the fabric."""

    collective: Collective
    closed: float
    fabric: int

    @property
    def error(self) -> float:
        """Of the closed form, by what the fabric takes."""
        return self.closed / self.fabric - 1


def wires(wafer: Wafer) -> Wafer:
    """`wafer` without any software: what is left on both sides is wires, ramps and elements."""
    software = ("vector_setup", "straight_setup", "loop_iteration", "scalar_step", "local_task", "route_write")
    return mechanisms(repriced(wafer, dict.fromkeys(software, 0.0)), sums=True)


def mechanisms(wafer: Wafer, *, sums: bool) -> Wafer:
    """`wafer` with the software that the fabric has as mechanisms, and none that it has not.

    A sum begins with the set-ups of a root's two operations; those of all other members pass before anything comes. A
    multicast begins with one, and what a core does after its own sending takes another each.
    """
    setup, ramp = wafer.core.straight_setup_cycles.value, wafer.link.ramp_cycles.value
    begins = {"collective_entry": 2 * setup, "multicast_skew": setup, "multicast_start": 2 * ramp + 1}
    return repriced(wafer, {**begins, "step_software": 0.0 if sums else setup, "star_member": 0.0})


def judged(collective: Collective, closed: Wafer, simulated: Wafer, cycles: int = 0) -> Found:
    """A collective by the closed forms under one machine's figures, and on the fabric under another's (or `cycles`).

    Raises:
        UnsupportedError: it has no level 2. NoRoutes: colors or queues do not reach.
    """
    program = _program(collective, simulated)
    return Found(collective, _closed(program, closed), cycles or _simulated(program, simulated))


def _closed(program: WaferProgram, wafer: Wafer) -> float:
    [stream] = program.streams
    shares = Shares({value.name: value for value in stream.values}, program.trees, Step(context=1))
    clock = wafer.system.clock_hz.value
    return critical_path(wafer, stream.instructions, shares, clock).cost.cycles


def _simulated(program: WaferProgram, wafer: Wafer) -> int:
    """Until the last core is done; control wavelets may travel on."""
    run = lower(program, 0, [0], token=0, position=0, wafer=wafer)
    outcome = simulate(run.program, Hardware.of(wafer), limit=_LIMIT, threads=1)
    assert outcome.status == "finished", (program.streams, [told(each) for each in outcome.waiting])
    return int(outcome.finished.max())


def _program(collective: Collective, wafer: Wafer) -> WaferProgram:
    """A wafer program of this stream alone, on one line of cores."""
    values, instructions = _stream(collective)
    trees = (collective.tree,)
    stream = Stream("stream", values, instructions)
    [stream] = routed((stream,), used_by((stream,), trees), (1.0,), fabric(wafer))
    region = Region("line", 0, Rect(0, 0, 1, collective.tree.span), (Run(0),))
    return WaferProgram("any", wafer.name, "", "", Bounds(1, 1), (region,), (stream,), trees, (), 1)


def _stream(collective: Collective) -> tuple[tuple[Value, ...], tuple[isa.Instruction, ...]]:
    made = _Stream(collective)
    for number, mover in enumerate(collective.movers):
        made.add(number, mover)
    return tuple(made.values), tuple(made.instructions)


@dataclass(slots=True)
class _Stream:
    """A stream as it comes about; `summed`: what the last sum left at its roots."""

    collective: Collective
    values: list[Value] = field(default_factory=list)
    instructions: list[isa.Instruction] = field(default_factory=list)
    summed: str = ""

    def add(self, number: int, mover: Mover) -> None:
        """One mover more, on values of its own."""
        span, wire = self.collective.tree.span, self.collective.wire
        line, node = isa.Line(Axis.ROWS, span), f"node{number}"
        if mover == "sum":
            self.summed = self._value(f"sum{number}", Roots(span, 0))
            terms = self._value(f"terms{number}", Partial("sum", span))
            self.instructions.append(isa.Reduce(node, "sum", self.summed, terms, line, wire))
            return
        held = self._owned(number) if mover == "owner" else self.summed or self._value("held", Roots(span, 0))
        sent = self._value(f"all{number}", Replicate(span))
        self.instructions.append(isa.Multicast(node, sent, held, line, wire, apart=mover == "apart"))

    def _owned(self, number: int) -> str:
        """What the first core of the line looks up in its share of a table."""
        span = self.collective.tree.span
        table = self._value(f"table{number}", Shard("row", span), Kind.WEIGHT, (Dim("row", span),))
        held = self._value(f"held{number}", Owner("token", span))
        self.instructions.append(isa.Lookup(f"node{number}", held, table, "token"))
        return held

    def _value(self, name: str, part: Part, kind: Kind = Kind.ACTIVATION, lead: tuple[Dim, ...] = ()) -> str:
        dims = (*lead, Dim("flat", self.collective.elements))
        self.values.append(Value(name, dims, DType(self.collective.wire), (part,), kind=kind))
        return name
