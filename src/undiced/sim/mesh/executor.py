"""The mesh executor: runs a wafer program with real numbers, core by core, all cores of a region at once.

Knows programs and layouts; weights come from a function that reads a slot. It models no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import ContextLengthError, EngineError, InvalidRequestError, ProgramFileError
from undiced.core.memory import main_memory_bytes
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.lifetimes import last_uses
from undiced.program.wafer.program import Region, Run, WaferProgram
from undiced.program.wafer.rings import tokens_ahead
from undiced.program.wafer.value import Kind
from undiced.program.wafer.verify import verify
from undiced.sim.mesh import choices, elementwise, movers, positions, products, shifts, widening
from undiced.sim.mesh.batch import Batch
from undiced.sim.mesh.binding import Bound, Progress, ReadSlot, bind, weight_bytes
from undiced.sim.mesh.caches import Caches
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.declarations import Declarations
from undiced.sim.mesh.failing import CoreFailureError, Failure, checked_reduce
from undiced.sim.mesh.ground import Ground
from undiced.sim.mesh.rounding import F32, Numbers
from undiced.sim.mesh.spreading import gather

_ARRAY_FLOATS = 1 << 25  # ours: 128 MiB; twice as many take twice the time to get from the system
_MEMORY_SHARE = 0.8  # of main memory, for weights

Watch = Callable[[Run, isa.Instruction, Cores], None]

EXECUTORS: dict[type[isa.Instruction], Callable[..., None]] = {  # of (cores, instruction)
    isa.Product: products.product,
    isa.Widen: widening.widen,
    isa.Combine: elementwise.combine,
    isa.Scale: elementwise.scale,
    isa.Copy: elementwise.copy,
    isa.Fill: elementwise.fill,
    isa.Apply: elementwise.apply,
    isa.Fold: elementwise.fold,
    isa.Rotate: elementwise.rotate,
    isa.Mask: positions.mask,
    isa.Lookup: positions.lookup,
    isa.Append: positions.append,
    isa.Place: choices.place,
    isa.Select: choices.select,
    isa.Draw: choices.draw,
    isa.Mark: choices.mark,
    isa.Pick: choices.pick,
    isa.Reduce: movers.reduce,
    isa.Multicast: movers.multicast,
    isa.Slice: movers.slice_,
    isa.Transfer: movers.arrive,
    isa.Return: movers.return_,
    isa.Rebind: movers.rebind,
    isa.Repaint: movers.rebind,
    isa.Causal: shifts.causal,
    isa.Read: shifts.read,
    isa.ShiftProduct: shifts.shift_product,
    isa.ShiftScores: shifts.shift_scores,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a step made: the likeliest token after each of its tokens, and the logits (tokens, vocabulary).

    Of a program that takes chunks it has those after the last token of each sequence alone, in the order of its work.
    """

    tokens: tuple[int, ...]
    logits: F32

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Whether all logits of a token are numbers, (tokens,)."""
        return np.asarray(np.isfinite(self.logits).all(axis=1))


@dataclass(frozen=True, slots=True)
class _Site:
    """One run's lasting memory: its weights, and its caches."""

    bound: Bound
    caches: Caches


class MeshExecutor:
    """Executes one program; holds the weights of every core, and the caches of every sequence.

    `clamped` counts the scores of all steps that were too large for an exponential without a maximum.

    Args:
        read_slot: the float32 array of a weight slot by its name in the graph.
        numbers: "fp32" rounds nothing; "wafer" rounds every result and every hop to its element type.
        progress: called with (slots bound, slots in all).
        failing: says at every sum which core of a wafer with a map fails by now; sums are then checked.

    Raises:
        CompileError: the program breaks a rule. CheckpointError: a weight is no finite number.
        EngineError: the weights of all cores do not fit into memory.
    """

    def __init__(
        self,
        program: WaferProgram,
        read_slot: ReadSlot,
        numbers: Numbers = "fp32",
        progress: Progress | None = None,
        failing: Callable[[], Failure | None] | None = None,
    ) -> None:
        verify(program)
        self.program, self.numbers, self.failing = program, numbers, failing
        _refuse_giants(program)
        reads = (i for stream in program.streams for i in stream.instructions if isinstance(i, isa.Read))
        self._kept = {i.slot: read_slot(i.slot) for i in reads}  # by the host
        self._lengths: dict[int, int] = {}
        self.clamped = 0
        states = [v for stream in program.streams for v in stream.values if v.kind is Kind.STATE]
        self._values = [Declarations((*states, *stream.values), program.trees) for stream in program.streams]
        self._ended = [
            last_uses(stream, values.holder) for stream, values in zip(program.streams, self._values, strict=True)
        ]
        self._grounds = [_ground(program, region) for region in program.regions]
        bounds = bind(program, read_slot, numbers, progress)
        self._sites = [
            [
                _Site(_settled(bound, ground), Caches(region.rows, region.columns, self._values[run.stream]))
                for run, bound in zip(region.runs, each, strict=True)
            ]
            for region, each, ground in zip(program.regions, bounds, self._grounds, strict=True)
        ]

    @property
    def most_tokens(self) -> int:
        """Tokens that a step should have at most, so that no array grows beyond `_ARRAY_FLOATS`."""
        return max(1, _ARRAY_FLOATS // max(self._floats_per_token()))

    @property
    def most_tokens_each(self) -> int:
        """Tokens of one sequence that a step can have: its rings must hold what the first of them attends to, and cores
        what a chunk needs."""
        chunk = self.program.chunk if self.ends_once else self.program.bounds.context
        return min(chunk, tokens_ahead(self.program))

    @property
    def ends_once(self) -> bool:
        """Whether only the last token of each sequence of a step gets logits: in programs that take chunks."""
        return any(stream.last for stream in self.program.streams)

    def _floats_per_token(self) -> Iterator[int]:
        """Elements of each value on all cores of a region, at the longest context."""
        for region in self.program.regions:
            for number in {run.stream for run in region.runs}:
                values = self._values[number]
                for value in self.program.streams[number].values:
                    if value.kind is Kind.ACTIVATION and value.view is None:
                        share = values.shape(value.name, self.program.bounds.context)
                        yield region.rect.cores * prod(share)

    def length(self, sequence: int) -> int:
        """Positions of a sequence that its caches hold."""
        return self._lengths.get(sequence, 0)

    def forget(self, sequence: int) -> None:
        """Drop a sequence's caches."""
        self._lengths.pop(sequence, None)
        for sites in self._sites:
            for site in sites:
                site.caches.forget(sequence)

    def step(self, work: Sequence[tuple[int, Sequence[int]]], watch: Watch | None = None) -> Result:
        """One pass of the program.

        Args:
            work: (sequence, its new tokens) each, in any number.
            watch: called after every instruction.

        Raises:
            CoreFailureError: a sum shows that a core fails; the step left no tokens.
            InvalidRequestError: no tokens, ids beyond the vocabulary, a sequence twice, or more tokens of one than a
                ring of past positions allows. ContextLengthError: more positions than the program holds.
        """
        batch = self._prompt(work) if self._kept else self._batch(work)
        before: Cores | None = None
        result: Result | None = None
        places = zip(self.program.regions, self._sites, self._grounds, strict=True)
        for number, (region, sites, ground) in enumerate(places):
            cores = Cores(region.rows, region.columns, self.numbers, batch, before, ground)
            for run, site in zip(region.runs, sites, strict=True):
                try:
                    self._run(cores, run, site, watch, region.wafer)
                except CoreFailureError as error:
                    error.region = number
                    raise
                result = _result(cores) or result
                cores.leave_states()
            self.clamped += cores.clamped
            before = cores
        if result is None:
            raise ProgramFileError("The program has no stream that makes logits.")
        self._lengths.update({sequence: int(batch.lengths[span][0]) for sequence, span in batch.spans()})
        return result

    def _run(self, cores: Cores, run: Run, site: _Site, watch: Watch | None, wafer: int) -> None:
        cores.begin(self._values[run.stream], site.bound, site.caches)
        if self.program.streams[run.stream].last:
            cores.keep_last()
        instructions = self.program.streams[run.stream].instructions
        for instruction, ended in zip(instructions, self._ended[run.stream], strict=True):
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # as cores do: logits show it
                    self._execute(cores, instruction, wafer)
            except (ValueError, LookupError, AssertionError) as error:
                stream, op = self.program.streams[run.stream].name, type(instruction).__name__
                raise ProgramFileError(
                    f"{op} of {instruction.node} in stream {stream!r} can't be executed: {error}."
                ) from error
            if watch is not None:
                watch(run, instruction, cores)
            for name in ended:
                cores.arrays.pop(name, None)

    def _execute(self, cores: Cores, instruction: isa.Instruction, wafer: int) -> None:
        if self.failing is not None and isinstance(instruction, isa.Reduce):
            failure = self.failing()
            checked_reduce(cores, instruction, failure if failure is not None and failure.wafer == wafer else None)
            return
        EXECUTORS[type(instruction)](cores, instruction)

    def _prompt(self, work: Sequence[tuple[int, Sequence[int]]]) -> Batch:
        """One prompt, whose tokens lie over cores."""
        if len(work) != 1 or self._lengths:
            raise InvalidRequestError("The program takes one prompt, once.", remedy="Compile a decode program.")
        ids = self._batch(work).tokens
        one = np.zeros(1, dtype=np.int64)
        rows = {slot: table[ids] for slot, table in self._kept.items()}
        return Batch(one, one, one, one + 1, rows)

    def _batch(self, work: Sequence[tuple[int, Sequence[int]]]) -> Batch:
        if len({sequence for sequence, _ in work}) < len(work):
            raise InvalidRequestError("A step has each sequence once.")
        columns: list[tuple[int, int, int, int]] = []
        for sequence, new in work:
            start = self._lengths.get(sequence, 0)
            length = start + len(new)
            if self.ends_once and len(new) > self.program.chunk:
                raise InvalidRequestError(
                    f"A chunk has {self.program.chunk} tokens, and {len(new)} are given.",
                    remedy="Give them in several steps.",
                )
            if length > self.program.bounds.context:
                raise ContextLengthError(
                    f"The sequence would have {length} tokens; the program holds {self.program.bounds.context}."
                )
            columns += [(token, start + number, sequence, length) for number, token in enumerate(new)]
        batch = np.array(columns, dtype=np.int64).reshape(-1, 4)
        if not len(batch) or batch[:, 0].min() < 0 or batch[:, 0].max() >= self.program.vocab:
            raise InvalidRequestError(f"A step takes token ids from 0 to {self.program.vocab - 1}, at least one.")
        return Batch(*batch.T)


def _ground(program: WaferProgram, region: Region) -> Ground | None:
    one = program.individual(region.wafer)
    return None if one is None else Ground(one, region)


def _settled(bound: Bound, ground: Ground | None) -> Bound:
    """Weights and tables as cores find them where they lie."""
    return bound if ground is None else {name: ground.settled(array) for name, array in bound.items()}


def _result(cores: Cores) -> Result | None:
    """What a stream left that makes logits; None of any other."""
    if "logits" not in cores.arrays:
        return None
    logits = gather(cores.values["logits"], cores.read("logits"), lead=1)
    if cores.batch.rows is None:
        chosen = cores.read("token")[0, 0].reshape(cores.batch.size, -1)[:, 0]
        return Result(tuple(map(int, chosen)), logits)
    length = len(next(iter(cores.batch.rows.values())))
    tokens = gather(cores.values["token"], cores.read("token"), lead=1)[0]
    return Result(tuple(map(int, tokens[:length])), logits[0, :length])


def _refuse_giants(program: WaferProgram) -> None:
    """Weights lie in this machine's memory as 32-bit numbers, repeated where cores repeat them."""
    needed, there = weight_bytes(program), main_memory_bytes()
    if needed > _MEMORY_SHARE * there:
        sizes = f"{needed / 2**30:.1f} GiB for the weights of all cores; {there / 2**30:.1f} GiB are here"
        raise EngineError(
            f"{program.model} takes {sizes}.",
            remedy="Emulate a smaller model.",
        )
