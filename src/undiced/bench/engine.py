"""EngineBench: the host's engine, below everything that serves: steps of chosen shapes, one after another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from undiced.engine.backend import PAGE_TOKENS, SlotState, StepInput
from undiced.engine.host import HostBackend
from undiced.engine.record import greedy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from undiced.bench.work import Work
    from undiced.checkpoint import Checkpoint
    from undiced.engine.weights import Progress
    from undiced.program import HostProgram

_FIRST_ID = 100  # of the tokens that are read: below are often control tokens
_PIECE = 128  # tokens of a context that are read in a step


class EngineBench:
    """An engine that was loaded once, and the pages of the sequences that works share.

    Args:
        works: what will be measured; pages and the tokens of a step follow from it.
        isa: the instruction set level, see `engine.level`.
    """

    def __init__(
        self,
        program: HostProgram,
        checkpoint: Checkpoint,
        works: Sequence[Work],
        progress: Progress | None = None,
        isa: str = "",
    ) -> None:
        self.program = program
        each = [max(_pages(work) for work in works if work.sequences > at) for at in range(_most(works))]
        self._first = np.concatenate([[0], np.cumsum(each)]).astype(np.int32)
        tokens = max(_PIECE, *(work.sequences * work.new for work in works))
        self.backend = HostBackend(
            program, checkpoint, pages=int(self._first[-1]), max_tokens=tokens, isa=isa, progress=progress
        )
        self._width = max(each)
        self._shapes: dict[tuple[int, int, bool], StepInput] = {}
        self._read = [0] * _most(works)
        for slot in range(_most(works)):
            self.backend.open_slot(slot, SlotState())

    def run(self, work: Work) -> float:
        """Seconds from the first step to the last, those of the caller included. Sequences that have not come as far
        as the work's context read tokens up to it before: memory that nothing was written to would come from a cache.
        """
        for slot in range(work.sequences):
            while (begin := self._read[slot]) < work.context:
                self._read_piece(slot, begin, min(begin + _PIECE, work.context))
            self._read[slot] = max(self._read[slot], work.positions)
        tokens, batch = self._tokens((work.sequences, work.new)), self._shape(work)
        began = time.perf_counter()
        for step in range(work.steps):
            batch.tokens.reshape(work.sequences, work.new)[:] = tokens
            positions = np.arange(work.new, dtype=np.int32) + work.context + step * work.new
            batch.positions.reshape(work.sequences, work.new)[:] = positions
            output = self.backend.collect(self.backend.submit(batch))
            if work.new == 1:
                tokens = np.asarray(output.tokens).reshape(work.sequences, 1)
        return time.perf_counter() - began

    def _read_piece(self, slot: int, begin: int, end: int) -> None:
        positions, none = np.arange(begin, end, dtype=np.int32), np.zeros(0, np.int32)
        starts, slots = np.array([0, end - begin], np.int32), np.array([slot], np.int32)
        tokens, table = self._tokens((end - begin,), begin), self._table(slot + 1)[slot:]
        batch = StepInput(tokens, positions, starts, slots, table, none, greedy(none))
        self.backend.collect(self.backend.submit(batch))
        self._read[slot] = end

    def _tokens(self, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.int32]:
        vocab = self.program.vocab
        return np.random.default_rng(seed).integers(min(_FIRST_ID, vocab // 2), vocab, shape, np.int32)

    def _shape(self, work: Work) -> StepInput:
        """The arrays of steps of this shape, made once."""
        shape = work.sequences, work.new, work.drawn
        if shape not in self._shapes:
            count, new, drawn = shape
            starts = np.arange(0, (count + 1) * new, new, dtype=np.int32)
            rows = (starts[1:] - 1).astype(np.int32) if drawn else np.zeros(0, np.int32)
            slots, zeros = np.arange(count, dtype=np.int32), np.zeros(count * new, np.int32)
            sampling = greedy(np.arange(len(rows), dtype=np.int32))
            self._shapes[shape] = StepInput(zeros, zeros.copy(), starts, slots, self._table(count), rows, sampling)
        return self._shapes[shape]

    def _table(self, count: int) -> NDArray[np.int32]:
        table = np.full((count, self._width), -1, np.int32)
        for slot in range(count):
            own = np.arange(self._first[slot], self._first[slot + 1], dtype=np.int32)
            table[slot, : len(own)] = own
        return table

    def close(self) -> None:
        """Free threads and memory."""
        self.backend.close()


def _most(works: Sequence[Work]) -> int:
    return max(work.sequences for work in works)


def _pages(work: Work) -> int:
    return -(-work.positions // PAGE_TOKENS)
