"""HostBackend: a host program on the native thread team, weights resident. Holds the team; decides nothing.

Packing obeys the program's weight manifest; every step after that is one call into native code, made by `collect` on
the thread that calls it, or, where two steps are in flight, on a native thread while the caller does something else.
The team computes one step at a time; calls release the interpreter's lock.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from undiced import _native
from undiced.core.errors import CheckpointError, EngineError, UnsupportedError
from undiced.core.plain import floats, ints, room, table
from undiced.core.sampling import TOP_LOGPROBS_MAX
from undiced.engine.backend import PAGE_TOKENS, Limits, PlainStep, SlotState, StepOutput, Submitted
from undiced.engine.energy import POWERCAP, Energy
from undiced.engine.hidden import hidden_buffer, hidden_width
from undiced.engine.level import level
from undiced.engine.pool import pools
from undiced.engine.row import likeliest_row
from undiced.engine.weights import Progress, parts_of, plain_vector_of, resident_bytes, vector_of
from undiced.program.host.encoding import encode
from undiced.program.host.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from undiced.checkpoint import Checkpoint
    from undiced.core.manifest import WeightSlot
    from undiced.engine.backend import AnyStep
    from undiced.engine.keeping import Behind
    from undiced.engine.kept import KeptWeights
    from undiced.program import HostProgram

Number = TypeVar("Number", int, float)
_SCORED_ROWS = 32  # their logits' memory is touched only once a prompt is scored
_IN_FLIGHT = 6  # who collects wakes up for four at once, which halves what each takes of a core (docs/LOG.md)
_DRAFT = 7  # native attention cuts sequences of up to eight new tokens alike
_STEP_BYTES = 1 << 30  # of activations in one step, at most; a model of 405 billion parameters takes 0.3 GB
_GROUP_BYTES = 16 << 20  # of a checkpoint that may lie in memory beside what was packed from it
_CODE_BYTES = {"f32": 0, "int8": 1, "int16": 2}


def _results(rows: int) -> tuple[memoryview, memoryview, memoryview, memoryview]:
    """What a step of so many rows writes: tokens, log-probabilities, and the likeliest tokens with theirs."""
    many = rows * TOP_LOGPROBS_MAX
    best = table(room("i", many), TOP_LOGPROBS_MAX), table(room("f", many), TOP_LOGPROBS_MAX)
    return room("i", rows), room("f", rows), *best


def _grouped(slots: tuple[WeightSlot, ...]) -> Iterator[list[tuple[int, WeightSlot]]]:
    """Slots with their places, as many at a time as have _GROUP_BYTES, or one."""
    group: list[tuple[int, WeightSlot]] = []
    held = 0
    for index, slot in enumerate(slots):
        if group and held + resident_bytes(slot) > _GROUP_BYTES:
            yield group
            group, held = [], 0
        group.append((index, slot))
        held += resident_bytes(slot)
    if group:
        yield group


def _checked(what: Callable[..., Number], *args: object) -> Number:
    """Call native code; what it throws is the engine's failure."""
    try:
        return what(*args)
    except (ValueError, RuntimeError) as error:
        raise EngineError(f"The engine failed: {error}") from None


def _reserved(
    program: HostProgram, threads: int, pages: int, tokens: int, isa: str, team: HostBackend | None
) -> _native.Engine:
    """An engine with memory for a program, without weights. Raises as `HostBackend`."""
    bounds = program.bounds
    try:
        return _native.Engine(
            encode(program.instrs),
            [(b.width, int(b.rows == "samples"), _CODE_BYTES[b.kind], int(b.own)) for b in program.buffers],
            [(s.rows, s.columns, s.format, s.experts) for s in program.slots],
            [(k.kv_heads, k.head_dim, k.window, int(k.latent), k.type) for k in program.kv],
            [floats(values) for values in program.constants],
            threads,
            bounds.batch,
            tokens,
            bounds.context,
            pages,
            program.vocab,
            level(isa),
            max_samples=bounds.batch + _SCORED_ROWS,
            team=None if team is None else team._engine,
        )
    except MemoryError as error:
        raise EngineError(
            f"{program.model} does not fit into memory: {error}.",
            remedy="Choose a smaller model, fewer sequences (max_batch) or a shorter context (max_context).",
        ) from None
    except (ValueError, RuntimeError) as error:
        raise UnsupportedError(
            f"This build can't run {program.model}: {error}",
            remedy="`undiced doctor` tells what this build and this processor can do.",
        ) from None


def _step_tokens(program: HostProgram, threads: int) -> int:
    """Of one step: each sequence's next one, and of prompts as many as keep the team at work. With more, prompts are
    read no faster, and activations take more memory; but an expert is read for its few tokens of a step, the more the
    better.
    """
    experts = any(slot.experts > 1 for slot in program.slots)
    return program.bounds.batch + (256 if experts else min(256, max(128, 64 * threads)))


def _refuse_giant_steps(program: HostProgram, tokens: int) -> None:
    """Widths are the file's word, and a small file can name large ones."""
    rows = {"tokens": tokens, "samples": program.bounds.batch}
    nbytes = sum(4 * buffer.width * rows[buffer.rows] for buffer in program.buffers)
    if nbytes > _STEP_BYTES:
        raise EngineError(
            f"{program.model} takes {nbytes >> 20} MiB for the activations of {tokens} tokens; "
            f"{_STEP_BYTES >> 20} MiB are allowed.",
            remedy="Allow fewer tokens in a step, or use a model that is less wide.",
        )


class HostBackend:
    """Runs a program compiled for the host.

    Args:
        program: verified again here.
        checkpoint: where the weights come from; not needed any more once this returns.
        threads: team members; defaults to the program's cores.
        pages: KV pages; defaults to what it gets where it has the machine for itself, see `engine.pool`.
        max_tokens: tokens in one step at most; by default as many as keep all threads at work.
        isa: force an instruction set level of `engine.level.LEVELS`, which says what "" picks.
        progress: called with (bytes packed, bytes in all).
        powercap: where the kernel exposes counters of energy.
        team: another backend, whose threads do this one's steps too; the two never step at the same time.
        kept: packed weights of a run before, or where to keep them for the next one; the attribute `packed` says
            whether all were packed in this run.

    Raises:
        CompileError: the program breaks a rule of the instruction table.
        UnsupportedError: this processor lacks the instruction set level, or this build can't run the program.
        CheckpointError: the checkpoint is not the one that the program was compiled from.
        EngineError: weights and KV pages do not fit into memory.
    """

    def __init__(
        self,
        program: HostProgram,
        checkpoint: Checkpoint,
        *,
        threads: int | None = None,
        pages: int | None = None,
        max_tokens: int | None = None,
        isa: str = "",
        progress: Progress | None = None,
        powercap: Path = POWERCAP,
        team: HostBackend | None = None,
        kept: KeptWeights | None = None,
    ) -> None:
        verify(program)
        bounds = program.bounds
        pool = pages or pools([program])[0]
        members = threads or program.cores
        tokens = _step_tokens(program, members) if max_tokens is None else max(max_tokens, bounds.batch)
        _refuse_giant_steps(program, tokens)
        self._engine = _reserved(program, members, pool, tokens, isa, team)
        self._hidden = hidden_buffer(program)
        self.limits = Limits(
            max_batch=bounds.batch,
            max_tokens=tokens,
            context=bounds.context,
            pages=pool,
            page_tokens=PAGE_TOKENS,
            vocab=program.vocab,
            source="host",
            scored_rows=_SCORED_ROWS,
            hidden=hidden_width(program, self._hidden),
            draft=_DRAFT,
            in_flight=_IN_FLIGHT,
            chained=True,
            prompt_multiple=self._engine.prompt_multiple,
        )
        self._submitted = Submitted(self.limits.in_flight)
        self._energy = Energy(powercap)
        self._fill(program, checkpoint, progress, kept)
        self._kept, self._answered = kept, False
        self._behind: Behind | None = None
        # Of the steps in flight, and of the one that was collected last.
        self._outputs = [_results(bounds.batch + _SCORED_ROWS) for _ in range(_IN_FLIGHT + 1)]
        # Native tickets of those in flight, if they run on a thread of the engine's own.
        self._apart: deque[int] = deque()
        self._before = self._energy.counts()

    def _fill(
        self, program: HostProgram, checkpoint: Checkpoint, progress: Progress | None, kept: KeptWeights | None
    ) -> None:
        """Look at kept weights, or pack them."""
        self.packed = kept is None or not kept.view_in(self._engine)
        if self.packed:
            self._load(program.slots, checkpoint, progress)
        elif progress is not None:
            progress(1, 1)

    def _first(self) -> None:
        """The first step for somebody is done: time for what kept weights still need."""
        self._answered = True
        if self._kept is None or (self.packed and not self._kept.missing):
            return
        from undiced.engine.keeping import Behind, settle, write

        self._behind = Behind(partial(write if self.packed else settle, self._kept, self._engine))

    def _load(self, slots: tuple[WeightSlot, ...], checkpoint: Checkpoint, progress: Progress | None) -> None:
        total, done = sum(resident_bytes(slot) for slot in slots), 0
        chosen: dict[object, memoryview] = {}
        for group in _grouped(slots):
            try:
                self._pack(group, checkpoint, chosen)
            except ValueError as error:
                raise CheckpointError(
                    f"{checkpoint.name} does not hold the weights of this program: {error}.",
                    remedy="Compile the program again, from this checkpoint.",
                ) from None
            checkpoint.forget()
            done += sum(resident_bytes(slot) for _, slot in group)
            if progress is not None:
                progress(done, total)

    def _pack(
        self, group: list[tuple[int, WeightSlot]], checkpoint: Checkpoint, chosen: dict[object, memoryview]
    ) -> None:
        """Fill slots. All matrices are one native call, during which other threads have the interpreter; vectors come
        behind them, into memory that the team has touched by then.
        """
        matrices = []
        for index, slot in group:
            if slot.rows > 1:
                rows = [
                    (part.raw, part.format, part.rows, part.columns, part.row_index, part.transposed)
                    for part in parts_of(slot, checkpoint, chosen)
                ]
                matrices.append((index, rows))
        self._engine.load(matrices)
        for index, slot in group:
            if slot.rows == 1:
                plain = plain_vector_of(slot, checkpoint)
                self._engine.load_vector(index, vector_of(slot, checkpoint) if plain is None else plain)

    def warm_up(self) -> None:
        """Run a step for nobody: the system provides what memory the first sequence needs before that one waits."""
        zero = ints([0])
        row = memoryview(likeliest_row(0))
        first = PlainStep(zero, zero, ints([0, 1]), zero, table(zero, 1), zero, row)
        self.open_slot(0, SlotState())
        answered, self._answered = self._answered, True
        self.collect(self.submit(first))
        self._answered = answered

    def open_slot(self, slot: int, state: SlotState) -> None:
        """Reset a slot for a new sequence."""
        self._engine.open_slot(
            slot,
            ints(state.prompt),
            ints(token for token, _ in state.bias),
            floats(value for _, value in state.bias),
            ints(state.eos),
            ints(state.allowed),
            state.prompt_tokens,
        )

    def count_tokens(self, slot: int, tokens: list[int]) -> None:
        """Count tokens that nobody drew."""
        self._engine.count_tokens(slot, ints(tokens))

    def submit(self, batch: AnyStep) -> int:
        """Take in one step; see Backend. A second one makes both run on a thread of the engine's own."""
        ticket = self._submitted.push(batch)
        if self._submitted.alone:
            self._before = self._energy.counts()
            return ticket
        for at, one in self._submitted.behind(len(self._apart)):
            self._apart.append(self._do(self._engine.submit, at, one))
        return ticket

    def collect(self, ticket: int) -> StepOutput:
        """Run the step, or wait for it; see Backend."""
        batch = self._submitted.oldest(ticket)
        seconds = (
            _checked(self._engine.wait, self._apart[0]) if self._apart else self._do(self._engine.step, ticket, batch)
        )
        rows = len(batch.sample_rows)
        tokens, logprobs, top_ids, top_logprobs = self._outputs[ticket % len(self._outputs)]
        joules = self._energy.joules(self._before)
        out = StepOutput(tokens[:rows], logprobs[:rows], top_ids[:rows], top_logprobs[:rows], seconds, joules)
        if batch.hidden:
            out.hidden = self.buffer(self._hidden)
        self._submitted.done()
        if not self._answered:
            self._first()
        if self._apart:
            self._apart.popleft()
            self._before = self._energy.counts()  # where the step behind it began
        return out

    def _do(self, what: Callable[..., Number], ticket: int, batch: AnyStep) -> Number:
        """Hand a step to native code, with the arrays that it writes."""
        return _checked(
            what,
            batch.tokens,
            batch.positions,
            batch.seq_start,
            batch.slots,
            batch.page_table,
            batch.sample_rows,
            batch.sampling,
            *self._outputs[ticket % len(self._outputs)],
            batch.masks,
        )

    def buffer(self, index: int) -> NDArray[np.float32]:
        """The last step's rows of an f32 buffer, copied: for tests and for finding where two executors part."""
        values: NDArray[np.float32] = self._engine.buffer(index)
        return values

    def memory(self) -> dict[str, int]:
        """Bytes held, by purpose."""
        return self._engine.memory()

    def progress(self) -> int:
        """Instructions done since the beginning."""
        return self._engine.progress

    def close(self) -> None:
        """Stop the team and free its memory; idempotent."""
        if self._behind is not None:
            self._behind.stop()
        self._engine.close()
        self._energy.close()
