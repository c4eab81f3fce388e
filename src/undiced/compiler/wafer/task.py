"""What is compiled for wafers, and what for: a graph, a machine, and what was asked. Data and its bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from undiced.compiler.wafer.lower.choices import LEAN, Choices
from undiced.compiler.wafer.lower.segments import Segment, segments
from undiced.core.errors import CompileError
from undiced.core.mapping import Objective, Phase
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program import Bounds
from undiced.program.wafer.program import Stream
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import BITS, DType

if TYPE_CHECKING:
    from undiced.compiler.wafer.draft import Draft

WAFERS_MAX = 1024
BATCH_MAX = 4096
CONTEXT_MAX = 1 << 24
CHUNK_MAX = 1024
_HELD = 0.8  # of memory that weights take at most, roughly


@dataclass(frozen=True, slots=True)
class Options:
    """What to compile for.

    Attributes:
        bounds: sequences whose keys and values are held at once, and positions of each.
        wafers: how many may be used; None takes the fewest that hold the model.
        objective: "latency" of one sequence, or the "interval" between tokens of a full pipeline.
        lanes: tokens that go through a stream together at most; more take turns.
        chunk: tokens of a prompt that are taken together: cores have room for what all of them need.
        phase: whether the program is made fast for single tokens ("decode") or for chunks ("prefill").
        alone: whether it takes prompts only: it has no code for single tokens.
        ahead: tokens of one sequence that an emulator's step may have beside; windows keep so many positions more.
        region: fixes sides x by y instead of searching.
        ahead_of_products: whether narrow weights are widened while cores wait for collectives.
        filled: whether blocks have 16-bit weights as far as narrow ones leave memory.
        frontier: also find how many streams of which context the same regions hold.
        code_bytes: what to take a core's code and system for; None counts what the streams take.
    """

    bounds: Bounds = field(default_factory=lambda: Bounds(1, 4096))
    wafers: int | None = None
    choices: Choices = LEAN
    objective: Objective = "latency"
    lanes: int = 1
    chunk: int = 1
    phase: Phase = "decode"
    alone: bool = False
    ahead: int = 1
    region: tuple[int, int] | None = None
    code_bytes: int | None = None
    frontier: bool = False
    ahead_of_products: bool = True
    filled: bool = True

    @property
    def both(self) -> bool:
        """Whether a program has code for single tokens and for chunks."""
        return self.chunk > 1 and not self.alone

    @property
    def step(self) -> Step:
        """What the program is made fast for."""
        return self.steps[-1] if self.phase == "prefill" else self.steps[0]

    @property
    def steps(self) -> tuple[Step, ...]:
        """What trees are chosen for: a token, and a chunk as often."""
        context = self.bounds.context
        one, chunk = Step(self.lanes, 1, context), Step(1, min(self.chunk, context), context)
        return (chunk,) if self.alone else (one, chunk) if self.both else (one,)

    def __post_init__(self) -> None:
        for what, value, most in (
            ("batch", self.bounds.batch, BATCH_MAX),
            ("context", self.bounds.context, CONTEXT_MAX),
            ("chunk", self.chunk, CHUNK_MAX),
            ("number of wafers", 1 if self.wafers is None else self.wafers, WAFERS_MAX),
        ):
            if not 1 <= value <= most:
                raise CompileError(f"A {what} of {value} is out of range.", remedy=f"Use 1 to {most}.")


@dataclass(frozen=True, slots=True)
class Task:
    """One compilation: the same for every shape that is tried.

    Attributes:
        known_drafts, known_cycles: what shapes have in common, once it was found: drafts of a grid, cycles of streams.
    """

    graph: Graph
    segments: tuple[Segment, ...]
    wafer: Wafer
    options: Options
    known_drafts: dict[object, Draft | None] = field(default_factory=dict, init=False, compare=False, repr=False)
    known_cycles: dict[tuple[Stream, tuple[Tree, ...]], float] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def tied(self) -> bool:
        """Whether the first region keeps one matrix for its embedding and the head, which then runs there, too."""
        return self.graph.config.tied

    @property
    def tight(self) -> bool:
        """Whether 16-bit weights surely take more wafers than there may be: of these the fewest if none are named."""
        wafer, narrow = self.wafer, BITS[self.options.choices.weights] / BITS[DType.F16]
        took = 2 * self.graph.parameters / (_HELD * wafer.mesh.cores * wafer.core.sram_bytes.value)
        return ceil(took) > (self.options.wafers or ceil(narrow * took))

    @classmethod
    def of(cls, graph: Graph, wafer: Wafer, options: Options) -> Task:
        """The graph cut into segments."""
        return cls(graph, tuple(segments(graph)), wafer, options)
