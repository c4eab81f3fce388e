"""Question: which model on which machine, placed and timed how. What Python and the command line may ask, in one place.

Knows what may be asked; the compiler knows what can be had.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import CompileError, InvalidRequestError
from undiced.core.mapping import MappingOptions, Phase
from undiced.core.option import option
from undiced.machine.wafer import Wafer
from undiced.model import Graph, ModelConfig
from undiced.sim.acceptance import LENGTH_MAX
from undiced.study.stated import LOOKUP
from undiced.study.words import parse_clock, parse_phase, parse_region, parse_stages

if TYPE_CHECKING:
    from undiced.compiler.wafer.task import Options
    from undiced.program.wafer.program import WaferProgram
    from undiced.study.drafting import Home
    from undiced.study.subject import Subject

Progress = Callable[[float, str], None]
Model = str | Path | ModelConfig | Graph
OURS = "undiced"
CONTEXT = 4096
_COUNTS = (
    "wafers", "context", "batch", "sum_bits", "groups", "layers", "code_bytes", "capacity", "prefix", "chunk",
    "lockstep",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that may be asked about a model on wafers.

    Attributes:
        model: a configuration's name, a config.json, a model folder, a checkpoint, a configuration or a graph.
        machine: a name, a machine file, or a wafer.
        wafers: how many may be used; None takes the fewest that are found.
        context: positions attended, the new one included; in prefill the prompt's. None is 4,096, or what a ready
            program holds. batch: sequences at once.
        lockstep: how many of them go through a region together; others follow. None is 1, in the published engine all.
        routing: how tokens choose experts: "uniform", "zipf", "zipf:1.2", or a file of counts or of choices. None takes
            all choices to crowd on one group of columns, where experts lie on several.
        weights: "fp16", "int8", "fp8" or "int4"; None is as a graph's are stored, else fp16.
        sum_bits: 16 or 32 bits a partial sum, in cores and on wires.
        mapping: "undiced", or a published one: "waferllm", "waferengine".
        objective: "latency" of one user, or "interval" between tokens of a full pipeline.
        phase: "decode" or "prefill".
        region: sides of a region, (x, y) or "WxH", or "auto".
        chunk: tokens of a prompt that are taken together: 1 takes them one by one; None is the fastest for prompts, and
            1 in decode. Of the published engine's prefill 512.
        apart: prompts have wafers of their own, as many as `wafers` says, and hand their keys and values to others.
        capacity: positions that the program holds; None is the context (of the published engine at least 68 a row).
        prefix: positions of the prompt that are there already, in the published engine's prefill.
        groups, stages: of published mappings; layers: replaces the model's number.
        code_bytes: what to take a core's code for instead of counting it.
        clock: GHz; None is the machine's own.
        draft: a model to speculate with, on spare cores or on wafers of its own; or "lookup": the host guesses.
        acceptance: how likely a guess is right, an assumption; or "measured", "measured:WORK" or "FILE.json:WORK": as
            counted. None is 0.8 of a draft's guesses, and what was measured of lookups.
        fill: whether memory that narrow weights leave makes tokens faster: blocks of layers keep 16-bit weights, and
            others are widened ahead. False leaves it to keys and values. None is as True for one user's latency; for
            an interval and a frontier, to which many sequences matter, weights are only widened ahead.
        frontier: also how many streams of which context the same memory holds.
        defects: a seed, or files of defects, one a wafer with commas between them; None is wafers without any.
        defect_density: of a seed's defects, per square millimeter; None is the published one.
        clusters: whether they gather.
    """

    model: Model
    machine: str | Wafer = "wse3"
    wafers: int | None = None
    context: int | None = None
    batch: int = 1
    weights: str | None = None
    sum_bits: int = 16
    mapping: str = OURS
    objective: str = "latency"
    phase: str = "decode"
    region: str | tuple[int, int] = "auto"
    groups: int | None = None
    stages: str | tuple[int, ...] | None = None
    layers: int | None = None
    code_bytes: int | None = None
    clock: float | None = None
    draft: str | None = None
    acceptance: str | float | None = None
    frontier: bool = False
    defects: str | None = None
    defect_density: float | None = None
    clusters: bool = False
    chunk: int | None = None
    apart: bool = False
    capacity: int | None = None
    prefix: int | None = None
    lockstep: int | None = None
    routing: str | None = None
    fill: bool | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _count(name, value))

    @property
    def positions(self) -> int:
        """The context, or the default one."""
        return CONTEXT if self.context is None else self.context

    @property
    def way(self) -> Phase:
        """The phase, checked."""
        return parse_phase(self.phase)

    @property
    def clock_hz(self) -> float | None:
        """The clock, checked."""
        return parse_clock(self.clock)

    @property
    def options(self) -> MappingOptions:
        """What a mapping is asked for.

        Raises:
            CompileError: something that no mapping takes.
        """
        if self.sum_bits not in (16, 32):
            raise CompileError(f"Sums can't have {self.sum_bits} bits.", remedy=f"Use {option('sum_bits', 16)} or 32.")
        scheme: dict[str, object] = {} if self.weights in (None, "fp16") else {"weights": self.weights}
        return MappingOptions(
            region=parse_region(self.region) if isinstance(self.region, str) else self.region,
            groups=self.groups,
            stages=parse_stages(self.stages) if isinstance(self.stages, str) else self.stages,
            context=self.positions,
            layers=self.layers,
            phase=self.way,
            batch=self.batch,
            wafers=self.wafers,
            objective=self.objective,
            code_bytes=self.code_bytes,
            frontier=self.frontier,
            chunk=self.chunk,
            apart=self.apart,
            capacity=self.capacity,
            prefix=self.prefix,
            lockstep=self.lockstep,
            fill=self.fill,
            scheme=scheme if self.sum_bits == 16 else {**scheme, "sum_bits": self.sum_bits},
        )

    @property
    def placement(self) -> Question:
        """The part of it that decides the program: questions that agree in it share one."""
        single = self.phase == "decode" or self.chunk == 1
        phase = "decode" if self.mapping == OURS and single else self.phase
        draft = None if self.draft is None else LOOKUP
        return replace(self, phase=phase, clock=None, draft=draft, acceptance=None, routing=None)

    @property
    def ahead(self) -> int:
        """Tokens of a sequence that may be under way at once, which caches of windows keep positions for."""
        return 1 if self.draft is None else LENGTH_MAX

    @property
    def replayed(self) -> bool:
        """Whether it asks for the published engine's prefill, which is timed and has no program."""
        return self.mapping == "waferengine" and self.phase == "prefill"

    def check(self) -> None:
        """What is asked for can be asked, and goes together. Whether it can be had is not known yet.

        Raises:
            UndicedError: an option that is unknown or out of range, or two that exclude each other.
        """
        from undiced.compiler.wafer.asked import options_of
        from undiced.compiler.wafer.published.build import MAPPINGS, unknown_mapping
        from undiced.study.maps import check_defects

        options = self.options
        if self.mapping == OURS:
            options_of(options)
        elif self.mapping not in MAPPINGS:
            raise unknown_mapping(self.mapping)
        if self.mapping != OURS and (self.apart or (self.chunk is not None and not self.replayed)):
            raise InvalidRequestError(
                "Chunks of a prompt and wafers apart are for our mapping.",
                remedy=f"Use {option('mapping', OURS)}, or leave them out.",
            )
        if self.fill is not None:
            self._check_fill()
        if self.prefix is not None and not self.replayed:
            raise InvalidRequestError(
                "Only prompts of the waferengine mapping have a prefix.",
                remedy=f"Leave it out, or use {option('mapping', 'waferengine')} and {option('phase', 'prefill')}.",
            )
        _ = self.clock_hz
        check_defects(self.defects, self.defect_density, self.clusters, self.machine)
        if self.draft is not None and (self.way != "decode" or self.batch != 1):
            raise InvalidRequestError(
                "Only one decoding sequence speculates.", remedy="Leave the draft or the others out."
            )
        if self.draft is not None:
            self._check_draft()

    def _check_fill(self) -> None:
        narrow = self.weights not in (None, "fp16") or (self.weights is None and isinstance(self.model, Graph))
        if self.mapping == OURS and narrow and (self.phase == "decode" or self.chunk == 1):
            return
        raise InvalidRequestError(
            "Memory is filled that narrow weights leave where our mapping takes single tokens.",
            remedy=f"Leave fill out, or use {option('weights', 'int8')}.",
        )

    def _check_draft(self) -> None:
        from undiced.compiler.wafer.asked import with_layers
        from undiced.study.drafting import check_draft
        from undiced.study.subject import subject

        config = self.model.config if isinstance(self.model, Graph) else subject(self.model).config
        check_draft(self, with_layers(config, self.layers))


def _count(name: str, value: object) -> int:
    """A whole number, of whatever type."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidRequestError(f"{name} can't be {value!r:.40}.", remedy="Give a whole number.") from None


@dataclass(frozen=True, slots=True)
class Placed:
    """A program and the machine that it was compiled for.

    Attributes:
        subject: the model; None where the program came ready. wafers_given: how many might be used, if that was said.
        longest: the longest context that as many wafers hold in some placement, found when it is asked for; None where
            nothing else could be chosen.
        drafts: where drafts fit that were placed beside it, by their names.
    """

    program: WaferProgram
    wafer: Wafer
    subject: Subject | None = None
    wafers_given: int | None = None
    longest: Callable[[], int] | None = None
    drafts: dict[str, list[Home]] = field(default_factory=dict, compare=False)


def place(asked: Question, progress: Progress | None = None) -> Placed:
    """The program that answers a question; `progress` hears what share of the search is done, and of what.

    Raises:
        UndicedError: an unknown model or machine, or one that does not fit; says what would.
    """
    from undiced.machine import find_machine
    from undiced.study.subject import Subject, subject

    wafer = find_machine(asked.machine) if isinstance(asked.machine, str) else asked.machine
    about = Subject(asked.model.config) if isinstance(asked.model, Graph) else subject(asked.model, progress)
    made = _ours(asked, about, wafer, progress) if asked.mapping == OURS else _published(asked, about, wafer)
    if asked.defects is not None:
        made = _settled(asked, made, wafer)
    free = asked.mapping == OURS and asked.region == "auto" and asked.defects is None
    return Placed(made, wafer, about, asked.wafers, (lambda: _longest(asked, about, made, wafer)) if free else None)


def _settled(asked: Question, made: WaferProgram, wafer: Wafer) -> WaferProgram:
    from undiced.compiler.wafer.settle import settle
    from undiced.study.maps import maps_of, process_of

    assert asked.defects is not None
    process = process_of(asked.defect_density, asked.clusters)
    return settle(made, wafer, maps_of(asked.defects, wafer, process, made.wafers))


def _longest(asked: Question, about: Subject, made: WaferProgram, wafer: Wafer) -> int:
    from undiced.compiler.wafer.search import longest_on

    options, facts = replace(_options(asked), chunk=made.chunk), dict(made.facts)
    known = max(facts["max_context_tokens"], facts.get("narrow_context_tokens", 0.0))
    return longest_on(_graph(asked, about), wafer, options, int(facts["wafers"]), int(known))


def _published(asked: Question, about: Subject, wafer: Wafer) -> WaferProgram:
    from undiced.compiler.wafer.published.build import build_published

    return build_published(about.config, wafer, asked.mapping, asked.options)


def _ours(asked: Question, about: Subject, wafer: Wafer, progress: Progress | None) -> WaferProgram:
    from undiced.compiler.wafer.chunks import compile_chunked
    from undiced.compiler.wafer.search import compile_graph
    from undiced.sim.prompt import speed_of

    options, graph = _options(asked), _graph(asked, about)
    if asked.way == "prefill" and asked.chunk is None:
        return compile_chunked(graph, wafer, options, lambda program: speed_of(program, wafer), progress)
    return compile_graph(graph, wafer, options, progress)


def _options(asked: Question) -> Options:
    from undiced.compiler.wafer.asked import options_of

    return replace(options_of(_stored(asked).options), ahead=asked.ahead)


def _graph(asked: Question, about: Subject) -> Graph:
    from undiced.compiler.wafer.asked import with_layers
    from undiced.model import build_config

    if not isinstance(asked.model, Graph):
        return build_config(with_layers(about.config, asked.layers))
    if asked.layers is not None:
        raise CompileError("A graph has the layers that it has.", remedy="Leave layers out.")
    asked.model.verify()
    return asked.model


def _stored(asked: Question) -> Question:
    """The question with a graph's own weights, unless others are asked for."""
    from undiced.compiler.wafer.asked import weights_of

    if asked.weights is not None or not isinstance(asked.model, Graph):
        return asked
    return replace(asked, weights=weights_of(asked.model))


def as_compiled(asked: Question, program: WaferProgram) -> Question:
    """A question about a ready program: at its own bound unless a context is named, in the phase that it is for."""
    from undiced.sim.outlook import is_prompt

    phase = "prefill" if is_prompt(program) or program.alone else asked.phase
    return replace(asked, context=program.bounds.context if asked.context is None else asked.context, phase=phase)
