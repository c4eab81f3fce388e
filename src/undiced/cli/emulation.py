"""A model compiled for a mesh of cores, with its real weights on them, and the texts that it continues there.

Knows how the parts come together; knows no command line. What is computed is a wafer's program, core by core; the time
that it takes is this machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from undiced.core.errors import CompileError, ContextLengthError, InvalidRequestError, NonFiniteLogitsError

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.compiler.wafer.task import Options
    from undiced.machine.wafer import Wafer
    from undiced.model import Graph
    from undiced.program import Bounds
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.mesh.executor import MeshExecutor, Result
    from undiced.sim.mesh.failing import Failure
    from undiced.sim.mesh.rounding import F32, Numbers

CHUNK = 64  # ours: tokens of one prompt in a step; windows keep so many positions more
CORES_MAX = 128 * 128  # ours: every core has an array of its own in each value
Progress = Callable[[float, float], None]
Failing = Callable[[], "Failure | None"]
Steps = Iterator[list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Meshed:
    """A model and its program."""

    checkpoint: Checkpoint
    graph: Graph
    program: WaferProgram

    def executor(
        self, numbers: Numbers, progress: Progress | None = None, failing: Failing | None = None
    ) -> MeshExecutor:
        """An executor with the checkpoint's weights, dequantized; `failing` as it takes it."""
        from undiced.model.weights import load_slot
        from undiced.sim.mesh.executor import MeshExecutor

        slots = {slot.name: slot for slot in self.graph.slots}

        def read(name: str) -> F32:
            return load_slot(slots[name], self.checkpoint)

        return MeshExecutor(self.program, read, numbers, progress, failing)


def check_emulated(machine: Wafer) -> None:
    """A machine is small enough to be emulated.

    Raises:
        CompileError: it is not.
    """
    if machine.mesh.cores > CORES_MAX:
        raise CompileError(
            f"{machine.name} has {machine.mesh.cores:,} cores; {CORES_MAX:,} can be emulated.",
            remedy="Use a toy, as in --machine toy-24x24.",
        )


def meshed_program(checkpoint: Checkpoint, graph: Graph, program: WaferProgram) -> Meshed:
    """A compiled program with the checkpoint that its weights come from.

    Raises:
        InvalidRequestError: the checkpoint has other weights than the program takes.
    """
    here = {slot.name: (slot.rows, slot.columns) for slot in graph.slots}
    wanted = {slot.name: (slot.rows, slot.columns) for slot in program.slots}
    other = next((name for name in (*wanted, *here) if wanted.get(name) != here.get(name)), None)
    if other is not None:
        raise InvalidRequestError(
            f"The program was compiled for other weights than {checkpoint.name}'s: {other} is "
            f"{_sizes(wanted.get(other))} in the program and {_sizes(here.get(other))} in the checkpoint.",
            remedy="Name the checkpoint that it was compiled for with --checkpoint, or compile it again.",
        )
    return Meshed(checkpoint, graph, program)


def _sizes(sides: tuple[int, int] | None) -> str:
    return f"{sides[0]} x {sides[1]}" if sides else "nothing"


def mesh_model(
    checkpoint: Checkpoint,
    graph: Graph,
    machine: Wafer,
    bounds: Bounds,
    *,
    wafers: int | None = None,
    region: tuple[int, int] | None = None,
    sum_bits: int = 16,
    mapping: str = "undiced",
    weights: str = "fp16",
    chunk: int = 1,
) -> Meshed:
    """Compiles a model as for any machine, one that is small enough to be emulated.

    Args:
        wafers: how many may be used; the fewest that hold the model by default.
        region: sides of a region, x by y; searched by default.
        mapping: ours, or a published one, which has no number of wafers and no number formats to choose.
        weights: fp16, int8 or int4.
        chunk: tokens of a prompt that the program takes together at most, as many as cores have room for on no more
            wafers than single tokens need; of 1 it is one for single tokens, and every token of a step gets logits.

    Raises:
        CompileError: the machine is too large to be emulated, the model does not fit, or an operator has no lowering.
        ContextLengthError: the model has fewer positions than the bounds.
    """
    from undiced.compiler.wafer.asked import choices_of
    from undiced.compiler.wafer.lower.choices import EXACT, LEAN
    from undiced.compiler.wafer.published.build import build_whole
    from undiced.compiler.wafer.search import compile_graph
    from undiced.compiler.wafer.task import Options

    context = bounds.context
    check_emulated(machine)
    if graph.config.learned_positions and context > graph.config.context:
        raise ContextLengthError(
            f"{graph.config.name} has {graph.config.context} positions, and {context} are wanted.",
            remedy="Shorten the prompt, or ask for fewer tokens.",
        )
    if mapping != "undiced":
        if wafers is not None or sum_bits != 16 or weights != "fp16":
            raise CompileError(
                f"The {mapping} mapping has no wafers and no number formats to choose: they are as published.",
                remedy="Leave --wafers, --weights and --sum-bits out.",
            )
        return Meshed(checkpoint, graph, build_whole(graph, machine, mapping, region or "auto", bounds, CHUNK))
    choices = LEAN if sum_bits == 16 else EXACT
    choices = replace(choices, weights=choices_of({"weights": weights}).weights)
    options = Options(bounds, wafers, choices, ahead=CHUNK, region=region)
    single = compile_graph(graph, machine, options)
    chunked = _chunked(graph, machine, replace(options, wafers=single.wafers), min(chunk, CHUNK)) if chunk > 1 else None
    return Meshed(checkpoint, graph, chunked or single)


def _chunked(graph: Graph, machine: Wafer, options: Options, most: int) -> WaferProgram | None:
    """The program with the largest chunk that fits; None if there is none."""
    from undiced.compiler.wafer.search import compile_graph

    size = most
    while size > 1:
        try:
            return compile_graph(graph, machine, replace(options, chunk=size))
        except CompileError:
            size //= 2
    return None


class Texts:
    """Texts that an executor continues."""

    def __init__(self, executor: MeshExecutor) -> None:
        self.executor = executor

    def continued(
        self, prompts: Sequence[Sequence[int]], count: int, stops: frozenset[int], progress: Progress | None = None
    ) -> Steps:
        """As the function below."""
        return continued(self.executor, prompts, count, stops, progress)


def continued(
    executor: MeshExecutor,
    prompts: Sequence[Sequence[int]],
    count: int,
    stops: frozenset[int],
    progress: Progress | None = None,
) -> Steps:
    """Continues prompts together with the likeliest tokens.

    Args:
        prompts: token ids of each, at least one.
        count: most tokens for each.
        stops: a sequence ends with one of these, which it still yields.
        progress: called with (tokens of the prompts read, all of them).

    Yields:
        After each step (index of a prompt, its next token), for those that go on.

    Raises:
        InvalidRequestError: a prompt without tokens. NonFiniteLogitsError: a sequence computes no numbers.
    """
    live = dict(_read(executor, prompts, progress))
    for made in range(1, count + 1):
        yield sorted(live.items())
        live = {sequence: token for sequence, token in live.items() if token not in stops}
        if made == count or not live:
            return
        result = executor.step([(sequence, [token]) for sequence, token in live.items()])
        live = {sequence: _token(result, row, sequence) for row, sequence in enumerate(live)}


def _read(
    executor: MeshExecutor, prompts: Sequence[Sequence[int]], progress: Progress | None
) -> Iterator[tuple[int, int]]:
    """The first token after each prompt; prompts are read side by side, in pieces that a step can hold."""
    left = {sequence: list(prompt) for sequence, prompt in enumerate(prompts)}
    if not all(left.values()):
        raise InvalidRequestError("A prompt has no tokens.", remedy="Give some text.")
    whole = sum(map(len, prompts))
    while left:
        work, room = [], executor.most_tokens
        for sequence, tokens in left.items():
            if room > 0:
                work.append((sequence, tokens[: min(room, executor.most_tokens_each)]))
                room -= len(work[-1][1])
        result, row = executor.step(work), 0
        for sequence, piece in work:
            row += 1 if executor.ends_once else len(piece)
            left[sequence] = left[sequence][len(piece) :]
            if not left[sequence]:
                del left[sequence]
                yield sequence, _token(result, row - 1, sequence)
        if progress is not None:
            progress(whole - sum(map(len, left.values())), whole)


def _token(result: Result, row: int, sequence: int) -> int:
    if not result.finite[row]:
        raise NonFiniteLogitsError(
            f"The logits of prompt {sequence + 1} hold infinity or NaN.", remedy="Use --numbers fp32, or --sum-bits 32."
        )
    return result.tokens[row]
