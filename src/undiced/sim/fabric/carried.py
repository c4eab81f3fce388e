"""What links carry for each collective of a layer: its sections simulated by themselves, on the routes of that time.

Which way a wavelet takes, and how many there are, follows from routes and payload alone. The collectives therefore add
up to what links carry for the whole layer. Cores hold zeros. Knows no region and no command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import KernelError
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.lower import Piece, Run
from undiced.sim.fabric.microops import Repaint
from undiced.sim.fabric.outcome import Outcome
from undiced.sim.fabric.program import Paint
from undiced.sim.fabric.simulate import simulate, told

Loads = NDArray[np.uint32]
_COLLECTIVES = (isa.Reduce, isa.Multicast)
_FAULT = "This is a fault of ours: routes of a compiled program must not wait."


@dataclass(frozen=True, slots=True)
class Carried:
    """One collective.

    Attributes:
        run: which of the layer's runs it belongs to. sums: whether it adds; else it sends to all.
        node, value: of the graph, and what it makes. axis, span: along lines of so many cores.
        cycles: by itself.
        loads: [height, width, 5], wavelets that left each router by each port (`routes.Port`).
    """

    run: int
    sums: bool
    node: str
    value: str
    axis: Axis
    span: int
    cycles: int
    loads: Loads


def carried(
    run: Run, wafer: Wafer, *, threads: int = 0, progress: Callable[[float, str], None] | None = None
) -> tuple[Carried, ...]:
    """Every collective of lowered runs, in order.

    Args:
        threads: as for `simulate`. progress: called with the share that is done, and what is simulated.

    Raises:
        KernelError: one of them does not end.
    """
    pieces = [piece for piece in run.pieces if isinstance(piece.instruction, _COLLECTIVES) and piece.sections]
    hardware, out = Hardware.of(wafer), []
    for number, piece in enumerate(pieces):
        what = f"Simulating collective {number + 1} of {len(pieces)}"

        def tell(cycle: int, done: float = number / len(pieces), what: str = what) -> None:
            if progress is not None:
                progress(done, f"{what}, cycle {cycle:,}")

        tell(0)
        out.append(_told(piece, _alone(run, piece, hardware, threads, tell)))
    return tuple(out)


def _alone(run: Run, piece: Piece, hardware: Hardware, threads: int, tell: Callable[[int], None]) -> Outcome:
    sections = run.program.sections[piece.sections.start : piece.sections.stop]
    alone = replace(run.program, paints=tuple(_paints(run, piece)), sections=sections)
    outcome = simulate(alone, hardware, threads=threads, progress=tell)
    if outcome.status != "finished":
        first = f": {told(outcome.waiting[0])}" if outcome.waiting else ""
        raise KernelError(f"{piece.instruction.node} ended in a {outcome.status}{first}.", remedy=_FAULT)
    return outcome


def _paints(run: Run, piece: Piece) -> list[Paint]:
    """The routes that routers have when an instruction begins: painted at first, and written since."""
    found = list(run.program.paints)
    for before in run.pieces[: run.pieces.index(piece)]:
        if isinstance(before.instruction, isa.Repaint):
            blocks = [block for n in before.sections for block in run.program.sections[n].blocks]
            written = [(role, op) for role, script in blocks for op in script if isinstance(op, Repaint)]
            colors = {op.color for _, op in written}
            found = [paint for paint in found if paint.color not in colors]
            found += [Paint(role, op.color, op.switch) for role, op in written if op.switch is not None]
    return found


def _told(piece: Piece, outcome: Outcome) -> Carried:
    i = piece.instruction
    assert isinstance(i, _COLLECTIVES)
    line = i.line.axis, i.line.span
    return Carried(
        piece.frame, isinstance(i, isa.Reduce), i.node, i.result, *line, cycles=outcome.cycles, loads=outcome.loads
    )
