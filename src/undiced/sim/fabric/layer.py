"""Runs of a compiled program on their real cores, a layer's above all, wavelet by wavelet, beside the clock's forms.

Cores hold zeros: wavelets, operations and cycles are those of any numbers. Knows no model and no command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from undiced.core.errors import InvalidRequestError
from undiced.machine.timeline import Span, critical_path
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import WaferProgram
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.image import Bytes
from undiced.sim.fabric.lower.lower import Piece, Run, lower
from undiced.sim.fabric.outcome import Outcome
from undiced.sim.fabric.simulate import simulate

MOVERS = ("reduce", "multicast", "transfer", "return")  # operations that go over wires
SHIFTS = ("shiftproduct", "shiftscores")  # that multiply meanwhile
_OVER = (isa.Transfer, isa.Return)


@dataclass(frozen=True, slots=True)
class Beside:
    """One instruction: when it began and ended by the clock and in the fabric, in cycles from its run's start.

    A hand-over begins where it is sent: those that hear it wait from the start on.

    Attributes:
        run: which of the runs it belongs to.
    """

    run: int
    operation: str
    node: str
    clock: tuple[float, float]
    fabric: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Turn:
    """When a run began: by the clock, where runs follow each other, and in the fabric, where cores just go on."""

    region: str
    layer: int
    stream: str
    clock: float
    fabric: int


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer's runs took, or those of a token on one wafer.

    Attributes:
        region, number: which region of the program, and which of the model's layers; "" and -1 of a token.
        clock_cycles: by closed forms, of its runs one after the other.
        link_cycles: of these, what links between wafers take, which are not simulated.
        outcome: of the simulation, which runs them one after the other, too.
    """

    region: str
    number: int
    run: Run
    outcome: Outcome
    clock_cycles: float
    link_cycles: float
    turns: tuple[Turn, ...]
    beside: tuple[Beside, ...]

    @property
    def moving(self) -> tuple[float, float]:
        """The cycles in which a mover is under way: by the clock, and in the fabric.

        There from the first core that begins to the last that ends, what either waits for included.
        """
        spans = [(self.turns[each.run], each) for each in self.beside if each.operation in MOVERS]
        clock = [(run.clock + each.clock[0], run.clock + each.clock[1]) for run, each in spans]
        fabric = [(run.fabric + each.fabric[0], run.fabric + each.fabric[1]) for run, each in spans]
        return covered(clock), covered(fabric)


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """What spans cover together, where they overlap only once."""
    length, until = 0.0, 0.0
    for start, end in sorted(spans):
        length += max(0.0, end - max(start, until))
        until = max(until, end)
    return length


def pick(program: WaferProgram, region: int | None, layer: int | None) -> tuple[int, int, tuple[int, ...]]:
    """A region, a layer and its runs there: those that are asked for, else the first layer that a region has whole.

    Raises:
        InvalidRequestError: there is no such region or layer.
    """
    regions = range(len(program.regions)) if region is None else [region]
    if region is not None and not 0 <= region < len(program.regions):
        raise InvalidRequestError(
            f"The program has no region {region}.", remedy=f"Use 0 to {len(program.regions) - 1}."
        )
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for number in regions:
        runs = program.regions[number].runs
        once = {run: at for at, run in reversed(list(enumerate(runs)))}  # a benchmark repeats one layer
        for one in dict.fromkeys(run.layer for run in runs if run.layer >= 0):
            if layer in (None, one):
                mine = sorted(at for run, at in once.items() if run.layer == one)
                found.append((number, one, tuple(mine)))
    if not found:
        where = "the program" if region is None else f"region {region}"
        raise InvalidRequestError(f"No layer {layer} in {where}.", remedy="undiced compile ... --dump lists the runs.")
    fullest = max(len(runs) for _, _, runs in found)
    return next(each for each in found if len(each[2]) == fullest)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a program is simulated: as `simulate` takes it.

    Attributes:
        watch: the cores of a mesh (width, height) whose operations are told.
    """

    link_rate: float | None = None
    threads: int = 0
    limit: int = 1 << 31
    skew: int = 0
    jitter: int = 0
    seed: int = 0
    watch: Callable[[int, int], Sequence[tuple[int, int]]] | None = None
    progress: Callable[[int], None] | None = None


def simulate_layer(
    program: WaferProgram, wafer: Wafer, region: int, runs: Sequence[int], how: Manner, *, position: int, token: int = 0
) -> Layer:
    """The runs, one after the other, for a token at a position.

    Raises:
        UnsupportedError: an instruction has no level 2, or a tree no routes. InvalidRequestError: no such position.
    """
    see_position(program, position)
    made = lower(program, region, runs, token=token, position=position, wafer=wafer)
    placed = program.regions[region]
    return simulated(made, wafer, how, [placed.runs[run].layer for run in runs], placed.name)


def see_position(program: WaferProgram, position: int) -> None:
    """A program holds a position.

    Raises:
        InvalidRequestError: it does not.
    """
    if not 0 <= position < program.bounds.context:
        raise InvalidRequestError(
            f"The program holds {program.bounds.context} positions.", remedy="Ask for a shorter context."
        )


def simulated(
    made: Run, wafer: Wafer, how: Manner, layers: Sequence[int], region: str = "", memory: Bytes | None = None
) -> Layer:
    """Lowered runs, each of a layer; `region`: of one. `memory`: what cores hold before, used in place."""
    width, height = made.program.width, made.program.height
    outcome = simulate(
        made.program, Hardware.of(wafer, link_rate=how.link_rate),
        memory=made.memory([{}] * len(made.frames)) if memory is None else memory,
        threads=how.threads, limit=how.limit, skew=how.skew, jitter=how.jitter, seed=how.seed,
        watch=how.watch(width, height) if how.watch else (), progress=how.progress,
    )  # fmt: skip
    paths = [
        critical_path(wafer, s.instructions, f.shares, wafer.system.clock_hz.value, synchronous=s.synchronous)
        for f, s in zip(made.frames, made.streams, strict=True)
    ]
    beside, turns, begun, off = list[Beside](), list[Turn](), 0.0, 0.0
    for at, (path, layer) in enumerate(zip(paths, layers, strict=True)):
        first, found = _beside(made, outcome, at, path.spans)
        turns.append(Turn(made.frames[at].region.name, layer, made.streams[at].name, begun, first))
        beside += found
        begun += path.cost.cycles
        off += covered([(span.start, span.end) for span in path.spans if getattr(span.instruction, "off_wafer", False)])
    return Layer(region, layers[0] if region else -1, made, outcome, begun, off, tuple(turns), tuple(beside))


def _beside(made: Run, outcome: Outcome, run: int, spans: Sequence[Span]) -> tuple[int, list[Beside]]:
    """When a run begins in the fabric, and its instructions. One that is handed something begins with that."""
    pieces = [piece for piece in made.pieces if piece.frame == run]
    begun = [_begun(piece, outcome) for piece in pieces]
    over = next((n for n, piece in enumerate(pieces) if isinstance(piece.instruction, _OVER) and piece.sections), 0)
    first = min((start for start in begun[over:] if start is not None), default=0)
    found = list[Beside]()
    for piece, start, span in zip(pieces, begun, spans, strict=True):
        if start is not None:
            end = int(outcome.sections[piece.sections.start : piece.sections.stop, 1].max())
            fabric = max(start - first, 0), max(end - first, 0)
            name, node = type(piece.instruction).__name__.lower(), piece.instruction.node
            found.append(Beside(run, name, node, (span.start, span.end), fabric))
    return first, found


def _begun(piece: Piece, outcome: Outcome) -> int | None:
    """When the first core began an instruction, of a hand-over the first that sends; None: none does."""
    sections = piece.sections[:1] if isinstance(piece.instruction, _OVER) else piece.sections
    return min((int(outcome.sections[at][0]) for at in sections), default=None)
