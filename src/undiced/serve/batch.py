"""StepBuffer: turns a plan into a backend's arrays.

Allocated once; a step in which every sequence just goes on moves three of them. The page table and the sampling
parameters live in rows by slot, written when something changes and gathered when the batch does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from undiced.core.sampling import NO_TARGET, PARAMETERS
from undiced.engine.backend import SlotState, StepInput
from undiced.engine.record import OFFSETS, SAMPLING

if TYPE_CHECKING:
    from undiced.engine.backend import Limits
    from undiced.serve.plan import Plan
    from undiced.serve.request import Request
    from undiced.serve.sequence import Sequence

_UNUSED = -1
_COLDEST = 1e-6  # a lower temperature is greedy but for exact ties, and its inverse may overflow single precision
_WORD = 8  # bytes of a counter; rows are whole words, and counters are aligned
_SAMPLING_WORDS = SAMPLING.itemsize // _WORD
_COUNTER = OFFSETS["counter"] // _WORD


def slot_state(request: Request, vocab: int) -> SlotState:
    """What a backend with `vocab` logits must know of a request for as long as it holds a slot.

    A tokenizer may name end tokens that the model has no logit for; those need no ban.
    """
    sampling = request.sampling
    return SlotState(
        prompt=request.prompt if sampling.repetition_penalty != 1.0 else (),
        bias=sampling.logit_bias,
        eos=tuple(sorted(t for t in request.stops if 0 <= t < vocab)) if sampling.min_tokens > 0 else (),
    )


class StepBuffer:
    """The arrays of one step."""

    def __init__(self, limits: Limits) -> None:
        rows, width = limits.max_batch, -(-limits.context // limits.page_tokens)
        samples = rows + limits.scored_rows
        self._tokens = np.zeros(limits.max_tokens, np.int32)
        self._positions = np.zeros(limits.max_tokens, np.int32)
        self._starts = np.zeros(rows + 1, np.int32)
        self._slots = np.zeros(rows, np.int32)
        self._samples = np.zeros(samples, np.int32)
        self._pages = np.full((rows, width), _UNUSED, np.int32)
        self._sampling = np.zeros(samples, SAMPLING)
        self._pages_by_slot = np.full((rows, width), _UNUSED, np.int32)
        self._sampling_by_slot = np.zeros(rows, SAMPLING)
        self._step = self._views(0, 0, 0)
        # A steady step writes single numbers through these: after a backend has swept the caches, that costs a third of
        # what array arithmetic does.
        self._token_items = self._tokens.data
        self._position_items = self._positions.data
        self._sampling_items = self._sampling.view(np.uint64).data

    def fill(self, plan: Plan, sampled: list[int]) -> StepInput:
        """The arrays of a plan, valid until the next call.

        `sampled`: the tokens of the step before; a steady plan continues with them.
        """
        for sequence in plan.opened:
            self._open(sequence)
        if not plan.steady:
            return self._gather(plan)
        step = self._step
        if plan.grown:
            self._tabulate(plan.grown)
            self._pages_by_slot.take(step.slots, axis=0, out=step.page_table, mode="clip")
        tokens, positions, counters = self._token_items, self._position_items, self._sampling_items
        counter = _COUNTER
        for row, token in enumerate(sampled):
            tokens[row] = token
            positions[row] += 1
            counters[counter] += 1
            counter += _SAMPLING_WORDS
        return step

    def _gather(self, plan: Plan) -> StepInput:
        tokens: list[int] = []
        positions: list[int] = []
        starts, rows = [0], []
        targets: list[int] = []
        owners = plan.sampled if not plan.scored else []
        for sequence, count in zip(plan.sequences, plan.counts, strict=True):
            begin = sequence.computed
            end = begin + count
            tokens += sequence.tokens[begin:end]
            positions += range(begin, end)
            if plan.scored and sequence.scoring:
                wanted = sequence.scores(begin, end)
                rows += [starts[-1] + position - begin for position in wanted]
                targets += [sequence.tokens[position + 1] for position in wanted]
                owners += [sequence] * len(wanted)
            starts.append(len(tokens))
            if end == len(sequence.tokens) and sequence.max_tokens:
                rows.append(len(tokens) - 1)
                if plan.scored:
                    targets.append(NO_TARGET)
                    owners.append(sequence)
        self._tabulate(plan.sequences)
        step = self._step = self._views(len(tokens), len(plan.sequences), len(rows))
        step.tokens[:] = tokens
        step.positions[:] = positions
        step.seq_start[:] = starts
        step.slots[:] = [sequence.slot for sequence in plan.sequences]
        step.sample_rows[:] = rows
        self._pages_by_slot.take(step.slots, axis=0, out=step.page_table, mode="clip")
        if rows:
            step.sampling[:] = self._sampling_by_slot[[sequence.slot for sequence in owners]]
        step.sampling["counter"] = [sequence.generated for sequence in owners]
        step.sampling["min_tokens_mask"] = [sequence.generated < sequence.min_tokens for sequence in owners]
        if plan.scored:
            step.sampling["target"] = targets
        for part in plan.scored:
            step.sampling["top_logprobs"][part.row : part.rows.stop] = part.sequence.request.prompt_logprobs
        return step

    def _views(self, tokens: int, sequences: int, samples: int) -> StepInput:
        return StepInput(
            tokens=self._tokens[:tokens],
            positions=self._positions[:tokens],
            seq_start=self._starts[: sequences + 1],
            slots=self._slots[:sequences],
            page_table=self._pages[:sequences],
            sample_rows=self._samples[:samples],
            sampling=self._sampling[:samples],
        )

    def _open(self, sequence: Sequence) -> None:
        sampling = sequence.request.sampling
        row = self._sampling_by_slot[sequence.slot : sequence.slot + 1]
        row["slot"] = sequence.slot
        row["top_logprobs"] = sampling.logprobs
        row["target"] = NO_TARGET
        row["seed"] = sampling.seed
        for parameter in PARAMETERS:
            row[parameter.name] = getattr(sampling, parameter.name)
        if sampling.temperature < _COLDEST:
            row["temperature"] = 0.0

    def _tabulate(self, sequences: list[Sequence]) -> None:
        """Write pages that the rows by slot do not show yet; a sequence that starts over clears its row."""
        for sequence in sequences:
            shown, pages = sequence.tabled, sequence.pages
            if shown != len(pages):
                row = self._pages_by_slot[sequence.slot]
                if shown == 0:
                    row[:] = _UNUSED
                row[shown : len(pages)] = pages[shown:]
                sequence.tabled = len(pages)
