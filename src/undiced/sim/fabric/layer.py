"""One layer of a compiled program on its real region, or a token on all, wavelet by wavelet, beside the clock's forms.

Cores hold zeros: wavelets, operations and cycles are those of any numbers. Knows no model and no command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from undiced.core.errors import InvalidRequestError
from undiced.machine.timeline import Span, critical_path
from undiced.machine.wafer import Wafer
from undiced.program.wafer.program import WaferProgram
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.lower import Run, lower, lower_token
from undiced.sim.fabric.outcome import Outcome
from undiced.sim.fabric.simulate import simulate

MOVERS = ("reduce", "multicast", "transfer", "return")  # operations that go over wires
SHIFTS = ("shiftproduct", "shiftscores")  # that multiply meanwhile


@dataclass(frozen=True, slots=True)
class Beside:
    """One instruction: when it began and ended by the clock and in the fabric, in cycles from its run's start."""

    stream: str
    operation: str
    node: str
    clock: tuple[float, float]
    fabric: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer took, or a token.

    Attributes:
        region, number: which region of the program, and which of the model's layers; "" and -1 of a whole token.
        clock_cycles: by closed forms, of its runs one after the other.
        outcome: of the simulation, which runs them one after the other, too.
    """

    region: str
    number: int
    run: Run
    outcome: Outcome
    clock_cycles: float
    beside: tuple[Beside, ...]

    @property
    def moving(self) -> tuple[float, float]:
        """The share of its cycles in which a mover is under way: by the clock, and in the fabric.

        There from the first core that begins to the last that ends, what either waits for included.
        """
        clock, fabric = 0.0, 0.0
        for stream in dict.fromkeys(each.stream for each in self.beside):
            movers = [each for each in self.beside if each.stream == stream and each.operation in MOVERS]
            clock += _covered([each.clock for each in movers])
            fabric += _covered([each.fabric for each in movers])
        return clock / self.clock_cycles, fabric / self.outcome.cycles


def _covered(spans: Sequence[tuple[float, float]]) -> float:
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
    _check(program, position)
    made = lower(program, region, runs, token=token, position=position, wafer=wafer)
    placed = program.regions[region]
    return _simulated(made, wafer, how, placed.name, placed.runs[runs[0]].layer)


def simulate_token(program: WaferProgram, wafer: Wafer, how: Manner, *, position: int, token: int = 0) -> Layer:
    """A whole token at a position: all runs of all regions, from its embedding to the next token, which is back where
    embeddings are.

    Raises:
        UnsupportedError: an instruction has no level 2, or regions lie on several wafers. InvalidRequestError: no such
            position.
    """
    _check(program, position)
    return _simulated(lower_token(program, token=token, position=position, wafer=wafer), wafer, how, "", -1)


def _check(program: WaferProgram, position: int) -> None:
    if not 0 <= position < program.bounds.context:
        raise InvalidRequestError(
            f"The program holds {program.bounds.context} positions.", remedy="Ask for a shorter context."
        )


def _simulated(made: Run, wafer: Wafer, how: Manner, region: str, number: int) -> Layer:
    width, height = made.program.width, made.program.height
    outcome = simulate(
        made.program, Hardware.of(wafer, link_rate=how.link_rate), memory=made.memory([{}] * len(made.frames)),
        threads=how.threads, limit=how.limit, skew=how.skew, jitter=how.jitter, seed=how.seed,
        watch=how.watch(width, height) if how.watch else (), progress=how.progress,
    )  # fmt: skip
    paths = [
        critical_path(wafer, s.instructions, f.shares, wafer.system.clock_hz.value, synchronous=s.synchronous)
        for f, s in zip(made.frames, made.streams, strict=True)
    ]
    beside = tuple(_beside(made, outcome, [path.spans for path in paths]))
    clock = sum(path.cost.cycles for path in paths)
    return Layer(region, number, made, outcome, clock, beside)


def _beside(made: Run, outcome: Outcome, spans: list[tuple[Span, ...]]) -> Iterator[Beside]:
    for number, stream in enumerate(made.streams):
        pieces = [piece for piece in made.pieces if piece.frame == number]
        begun = [int(outcome.sections[at][0]) for piece in pieces for at in piece.sections]
        first = min(begun, default=0)
        for piece, span in zip(pieces, spans[number], strict=True):
            found = outcome.sections[piece.sections.start : piece.sections.stop]
            if not len(found):
                continue
            fabric = int(found[:, 0].min()) - first, int(found[:, 1].max()) - first
            name = type(piece.instruction).__name__.lower()
            yield Beside(stream.name, name, piece.instruction.node, (span.start, span.end), fabric)
