"""Hand-overs between regions at level 2: what the cores of one send and those of the other hear, and the token's way
back to where embeddings are.

Knows frames and ways between regions, no stream. All of it is on one microthread of each core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from undiced.core.errors import UnsupportedError
from undiced.program import Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower.between import Hearer, Passing, Sender, Sheet, along, aside, beside, columns
from undiced.sim.fabric.lower.channels import route_of
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.lowered import Lowered, Running
from undiced.sim.fabric.lower.payload import Piece, per_wavelet, piece
from undiced.sim.fabric.microops import Fork, In, Memory, MicroOp, Out, Vector
from undiced.sim.fabric.program import Section
from undiced.sim.fabric.routes import Control

Part = tuple[Frame, Lowered]
"""What the cores of a region do, with a frame of it."""


def handed(i: isa.Transfer | isa.Return, frame: Frame) -> tuple[Part, ...]:
    """What the cores that send do, and what those that hear do; nothing where the token is where it goes, or where it
    takes links between wafers.

    Raises:
        UnsupportedError: between regions that differ, or without the region at the other end.
    """
    over = _Over.of(i, frame)
    return () if over is None else (over.sent(), over.heard())


def passing(i: isa.Transfer | isa.Return, frame: Frame) -> Passing | None:
    """The ways that it takes; None if it takes none.

    Raises:
        UnsupportedError: as of `handed`.
    """
    route, ends = route_of(i), _ends(i, frame)
    if ends is None:
        return None
    before, after = ends
    sheet = Sheet(after.region.turned, before.region.rect, after.region.rect)
    if isinstance(i, isa.Return):
        return sheet.flood(route.color)
    see_alike(i, before, after)
    if not i.back:
        here = along(frame.regions, frame.number)
        if beside(before.region, after.region):
            _over_none(i, before, after, frame)
            return sheet.straight(route.color + here)
        if aside(before.region, after.region):
            return sheet.bent(route.color + here)
        return sheet.turning(route.color + 1 - here, route.color + here, columns(frame.regions, frame.number))
    if beside(before.region, after.region):
        return sheet.straight(route.color)
    if aside(before.region, after.region):
        return sheet.bent(route.color)
    across = sheet.span(after.region.rect, across=False)
    return sheet.turning(route.color, _unused(frame), list(across))


def _unused(frame: Frame) -> int:
    """The color between regions that the first hears nothing on."""
    between = next((route for used, route in frame.channels.routes.items() if used.use == "regions"), None)
    assert between is not None
    return between.color


def _ends(i: isa.Transfer | isa.Return, frame: Frame) -> tuple[Frame, Frame] | None:
    """A frame of the region that sends and one of that which hears."""
    if i.off_wafer and not frame.regions:
        raise UnsupportedError(
            f"{i.node} passes to another wafer, which isn't simulated.",
            remedy="Simulate the whole token, or leave the stream that it is in out.",
        )
    if i.off_wafer:
        return None
    if isinstance(i, isa.Return):
        same = frame.first is None or frame.first.region.rect == frame.region.rect
        return None if same or frame.first is None else (frame, frame.first)
    if frame.before is None:
        raise UnsupportedError(
            f"{i.node} comes from the region before, which isn't simulated.",
            remedy="Simulate the whole token, or leave the stream that it is in out.",
        )
    return frame.before, frame


def _over_none(i: isa.Transfer, before: Frame, after: Frame, frame: Frame) -> None:
    """No third region lies on the way: it uses the same two colors."""
    ends = before.region.rect, after.region.rect
    low, high = min(rect.x for rect in ends), max(rect.x + rect.width for rect in ends)
    top, bottom = min(rect.y for rect in ends), max(rect.y + rect.height for rect in ends)
    way = Rect(low, top, high - low, bottom - top)
    for region in frame.regions:
        if region.rect not in ends and region.rect.meets(way):
            raise UnsupportedError(
                f"{i.node} passes from region {before.region.name!r} to {after.region.name!r} over {region.name!r}, "
                "whose routers have the colors between regions already.",
                remedy="Compile for regions that follow each other, or simulate one region's layers.",
            )


def see_alike(i: isa.Transfer, before: Frame, after: Frame) -> None:
    """Regions have as many rows, and the same rows of them equal shares; columns have all of it.

    Raises:
        UnsupportedError: they don't.
    """
    one, two = before.value(i.a), after.value(i.result)
    grids = {(each.region.rows, each.region.turned) for each in (before, after)}
    shares = {(each.rows, each.columns, each.dims, each.dtype) for each in (one, two)}
    if len(grids) > 1 or len(shares) > 1 or one.columns:
        raise UnsupportedError(
            f"{i.node} passes {i.a} between regions that hold it in other shares.",
            remedy="Compile for regions of as many rows (--region).",
        )


@dataclass(frozen=True, slots=True)
class _Over:
    """One hand-over.

    Attributes:
        source, target: elements in the cores of either region; waste: memory of those that hear for what is others'.
    """

    i: isa.Transfer | isa.Return
    ways: Passing
    before: Frame
    after: Frame
    wire: DType
    source: Piece
    target: Piece
    waste: int

    @classmethod
    def of(cls, i: isa.Transfer | isa.Return, frame: Frame) -> _Over | None:
        ways, ends = passing(i, frame), _ends(i, frame)
        if ways is None or ends is None:
            return None
        before, after = ends
        result = i.result if isinstance(i, isa.Transfer) else i.a
        wire = DType(i.wire) if isinstance(i, isa.Transfer) else before.value(i.a).dtype
        source, target = (
            piece(where, name, 0, where.shares.size(name)) for where, name in ((before, i.a), (after, result))
        )
        return cls(i, ways, before, after, wire, source, target, after.keep(size_of(wire)))

    @property
    def _thread(self) -> int:
        return route_of(self.i).input_queue

    def sent(self) -> Part:
        """Each row of cores, or one core alone."""
        blocks = tuple((each.role, (Fork(self._thread, self._sender(each)),)) for each in self.ways.senders)
        made = Lowered((Section(self._named("sent"), blocks),), (Running(self._thread, (self.before.span(self.i.a),)),))
        return self.before, made

    def heard(self) -> Part:
        """All cores."""
        name = self.i.result if isinstance(self.i, isa.Transfer) else self.i.a
        blocks = tuple((each.role, (Fork(self._thread, self._hearer(each)),)) for each in self.ways.hearers)
        span = self.after.span(name)
        return self.after, Lowered((Section(self._named("heard"), blocks),), (Running(self._thread, (span,), (span,)),))

    def _named(self, what: str) -> str:
        kind = "transfer" if isinstance(self.i, isa.Transfer) else "return"
        return f"{kind} of {self.i.node}, {what}"

    def _sender(self, sender: Sender) -> tuple[MicroOp, ...]:
        """What it has."""
        return (self._send(self.source, sender.color, sender.last, sender.control),)

    def _hearer(self, hearer: Hearer) -> tuple[MicroOp, ...]:
        heard = In(self._thread, hearer.color, self.wire)
        cycles = per_wavelet(self.after.wafer.core, "move", self.wire, self.target.memory.dtype)
        out: list[MicroOp] = [
            *self._wasted(hearer.color, hearer.before),
            self._timed(Vector("move", self.target.memory, heard, extents=self.target.extents, per_wavelet=cycles)),
            *self._wasted(hearer.color, hearer.behind),
        ]
        if hearer.onward >= 0:
            out.append(self._send(self.target, hearer.onward))
        return tuple(out)

    def _send(self, held: Piece, color: int, advance: bool = False, control: Control | None = None) -> Vector:
        out = Out(route_of(self.i).output_queue, color, self.wire, advance, control)
        cycles = per_wavelet(self.before.wafer.core, "move", self.wire, held.memory.dtype)
        return self._timed(Vector("move", out, held.memory, extents=held.extents, per_wavelet=cycles))

    def _wasted(self, color: int, times: int) -> Iterator[Vector]:
        """What is others', as often as it comes."""
        nowhere = Memory(self.waste, (0,) * len(self.target.extents), self.wire)
        for _ in range(times):
            heard = In(self._thread, color, self.wire)
            yield self._timed(Vector("move", nowhere, heard, extents=self.target.extents))

    def _timed(self, vector: Vector) -> Vector:
        return replace(vector, setup=self.before.wafer.core.straight_setup_cycles.value)
