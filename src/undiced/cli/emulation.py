"""A model compiled for a mesh of cores, with its real weights on them, and the texts that it continues there.

Knows how the parts come together; knows no command line. What is computed is a wafer's program, core by core; the time
that it takes is this machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from undiced.core.errors import CompileError, ContextLengthError, InvalidRequestError, NonFiniteLogitsError
from undiced.sim.mesh.failing import CoreFailureError

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.compiler.wafer.task import Options
    from undiced.machine.wafer import Wafer
    from undiced.model import Graph
    from undiced.program import Bounds
    from undiced.program.wafer.program import WaferProgram
    from undiced.serve import Delta, UsageEvent
    from undiced.sim.mesh.executor import MeshExecutor
    from undiced.sim.mesh.failing import Failure
    from undiced.sim.mesh.rounding import F32, Numbers

CHUNK = 64  # ours: tokens of one prompt in a step; windows keep so many positions more
CORES_MAX = 128 * 128  # ours: every core has an array of its own in each value
Progress = Callable[[float, float], None]
Failing = Callable[[], "Failure | None"]
Steps = Iterator[list[tuple[int, int]]]
Texting = dict[int, tuple[Sequence[int], int]]  # by number: tokens so far, and how many may follow


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
        weights: fp16, int8, fp8 or int4.
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
    options = Options(bounds, wafers, choices, ahead=CHUNK, region=region, filled=False)
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
    """Texts that a wafer program continues, step by step as a server's engine would; time is the wafer's, simulated.

    `usages`: the accounts of each text, by its number, as its sequences end.
    """

    def __init__(self, executor: MeshExecutor, wafer: Wafer) -> None:
        from undiced.serve.clock import VirtualClock

        self.executor, self.wafer = executor, wafer
        self.clock = VirtualClock()
        self.usages: dict[int, list[UsageEvent]] = {}

    def continued(
        self, prompts: Sequence[Sequence[int]], count: int, stops: frozenset[int], progress: Progress | None = None
    ) -> Steps:
        """Continues prompts together with the likeliest tokens.

        Args:
            prompts: token ids of each, at least one.
            count: most tokens for each.
            stops: a sequence ends with one of these, which it still yields.
            progress: called with (tokens of the prompts read, all of them).

        Yields:
            After each step (index of a prompt, its next token), for those that got one.

        Raises:
            InvalidRequestError: a prompt without tokens. NonFiniteLogitsError: a sequence computes no numbers.
        """
        yield from self.steps({which: (prompt, count) for which, prompt in enumerate(prompts)}, stops, progress)

    def steps(self, texts: Texting, stops: frozenset[int], progress: Progress | None) -> Steps:
        """The same of texts by number, each with the most tokens that it may still get."""
        from undiced.core.sampling import Sampling
        from undiced.serve.loop import EngineLoop
        from undiced.serve.policy import Policy
        from undiced.serve.request import Request
        from undiced.serve.scheduler import Scheduler
        from undiced.study.wafer_backend import WaferBackend

        backend = WaferBackend(self.executor, self.wafer)
        loop = EngineLoop(backend, Scheduler(backend.limits, Policy(speculate=False)), clock=self.clock)
        for which, (prompt, most) in texts.items():
            name = str(which)  # its salt, too: no text finds another's positions in its cores
            sampling = Sampling(temperature=0.0)
            loop.add(Request(name, tuple(prompt), most, sampling, tuple(stops), cache_salt=name))
        whole = sum(len(prompt) for prompt, _ in texts.values())
        try:
            while not loop.idle:
                deltas = loop.step()
                if progress is not None:
                    progress(min(whole, loop.stats().prompt_tokens), whole)
                made = [(int(delta.request_id), token) for delta in deltas for token in delta.tokens]
                self._account(deltas)
                if made:
                    yield made
        except CoreFailureError:
            self._account(loop.fail())
            raise

    def _account(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            if delta.usage is not None:
                self.usages.setdefault(int(delta.request_id), []).append(delta.usage)
            if delta.error:
                raise NonFiniteLogitsError(
                    f"The logits of prompt {int(delta.request_id) + 1} hold infinity or NaN.",
                    remedy="Use --numbers fp32, or --sum-bits 32.",
                )

    def simulated(self) -> dict[str, object]:
        """What the wafer took, for scripts; joules are the median of what is assumed."""
        accounts = [each for which in sorted(self.usages) for each in self.usages[which]]
        return {
            "source": self.executor.program.machine,
            "clock_hz": self.wafer.system.clock_hz.value,
            "seconds": self.clock(),
            "joules": sum(each.joules for each in accounts if each.joules > 0),
            "texts": [
                {
                    "prompt_s": sum(each.prompt_s for each in self.usages[which]),
                    "completion_s": sum(each.completion_s for each in self.usages[which]),
                    "joules": sum(each.joules for each in self.usages[which] if each.joules > 0),
                }
                for which in sorted(self.usages)
            ],
            "provenance": "simulated; energies assumed, their median",
        }
