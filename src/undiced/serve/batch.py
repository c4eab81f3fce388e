"""StepBuffer: turns a plan into a backend's arrays.

As many frames of arrays as steps may be in flight, allocated once. A step of the same decoding sequences as the frame
held before moves three arrays of it. The page table and the sampling parameters live in rows by slot, written when
something changes and gathered when the batch does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from undiced.core.sampling import NO_MASK, NO_TARGET, PARAMETERS
from undiced.engine.backend import SlotState, StepInput
from undiced.engine.record import OFFSETS, SAMPLING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from undiced.core.sampling import Sampling
    from undiced.engine.backend import Limits
    from undiced.serve.plan import Plan
    from undiced.serve.request import Request
    from undiced.serve.sequence import Sequence

_UNUSED = -1
_COLDEST = 1e-6  # a lower temperature is greedy but for exact ties, and its inverse may overflow single precision
_MASK_BITS = 32  # tokens of a word of a mask
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
        allowed=tuple(sorted(set(sampling.allowed))),
    )


def record(row: NDArray[np.void], slot: int, sampling: Sampling) -> None:
    """Fill a row of the sampling record, but for what changes from token to token."""
    row["slot"] = slot
    row["top_logprobs"] = sampling.logprobs
    row["target"] = NO_TARGET
    row["mask"] = NO_MASK
    row["seed"] = sampling.seed
    for parameter in PARAMETERS:
        row[parameter.name] = getattr(sampling, parameter.name)
    if sampling.temperature < _COLDEST:
        row["temperature"] = 0.0


class Frame:
    """The arrays of one step, and what they show.

    Attributes:
        step: views of the arrays that the step fills.
        decoding: the sequences of the rows, if nothing but their tokens, positions and counters will change while all
            of them decode; else empty.
        pages_version: of the page table that it shows.
    """

    def __init__(self, limits: Limits, width: int) -> None:
        rows, samples = limits.max_batch, limits.max_batch + limits.scored_rows
        self._tokens = np.zeros(limits.max_tokens, np.int32)
        self._positions = np.zeros(limits.max_tokens, np.int32)
        self._starts = np.zeros(rows + 1, np.int32)
        self._slots = np.zeros(rows, np.int32)
        self._samples = np.zeros(samples, np.int32)
        self._pages = np.full((rows, width), _UNUSED, np.int32)
        self._masks: NDArray[np.int32] | None = None  # made for the first guided sequence
        self._mask_shape = rows, -(-limits.vocab // _MASK_BITS)
        self._sampling = np.zeros(samples, SAMPLING)
        self.decoding: list[Sequence] = []
        self.pages_version = 0
        self.step = self.views(0, 0, 0)
        # A steady step writes single numbers through these: after a backend has swept the caches, that costs a third of
        # what array arithmetic does.
        self._token_items = self._tokens.data
        self._position_items = self._positions.data
        self._sampling_items = self._sampling.view(np.uint64).data

    def views(self, tokens: int, sequences: int, samples: int) -> StepInput:
        """A step of so many tokens, sequences and sampled rows."""
        self.step = StepInput(
            tokens=self._tokens[:tokens],
            positions=self._positions[:tokens],
            seq_start=self._starts[: sequences + 1],
            slots=self._slots[:sequences],
            page_table=self._pages[:sequences],
            sample_rows=self._samples[:samples],
            sampling=self._sampling[:samples],
        )
        return self.step

    def guide(self, plan: Plan) -> None:
        """Masks for the sampled rows that must look like something; others are free."""
        if self._masks is None:
            self._masks = np.zeros(self._mask_shape, np.int32)
        rows = plan.sampled_rows() if plan.scored else range(len(plan.sampled))
        named, used = self.step.sampling["mask"], 0
        for row, sequence in zip(rows, plan.sampled, strict=True):
            if sequence.guidance is None:
                continue
            bound = sequence.guidance.fill(self._masks[used])
            named[row] = used if bound else NO_MASK
            used += bound
        self.step.masks = self._masks[:used]

    def move(self, follows: list[int]) -> None:
        """The next token of every decoding sequence, or the row of the step before that draws it."""
        tokens, positions, counters = self._token_items, self._position_items, self._sampling_items
        counter = _COUNTER
        ahead = bool(follows)
        for row, sequence in enumerate(self.decoding):
            tokens[row] = -1 - follows[row] if ahead else sequence.tokens[-1]
            positions[row] = sequence.submitted - 1
            counters[counter] = sequence.generated + ahead
            counter += _SAMPLING_WORDS


class StepBuffer:
    """The arrays of all steps in flight."""

    def __init__(self, limits: Limits) -> None:
        rows, width = limits.max_batch, -(-limits.context // limits.page_tokens)
        self._frames = [Frame(limits, width) for _ in range(limits.in_flight)]
        self._next = 0  # the frame whose step was submitted longest ago, and by now is collected
        self._pages_by_slot = np.full((rows, width), _UNUSED, np.int32)
        self._pages_version = 0
        self._sampling_by_slot = np.zeros(rows, SAMPLING)

    def fill(self, plan: Plan) -> StepInput:
        """The arrays of a plan just made, valid until as many more calls as steps may be in flight."""
        frame = self._frames[self._next]
        self._next = (self._next + 1) % len(self._frames)
        for sequence in plan.opened:
            self._open(sequence)
        if plan.drafts:
            self._draft(plan, frame)
        elif plan.prompt_tokens or plan.sequences != frame.decoding:
            if plan.follows:
                self._follow(plan, frame)
            else:
                self._gather(plan, frame)
        else:
            if plan.grown:
                self._tabulate(plan.grown)
            self._show_pages(frame)
            frame.move(plan.follows)
        if plan.guided:
            frame.guide(plan)
        frame.step.hidden = bool(plan.embeds)
        return frame.step

    def _gather(self, plan: Plan, frame: Frame) -> None:
        tokens: list[int] = []
        positions: list[int] = []
        starts, rows = [0], []
        targets: list[int] = []
        owners = plan.sampled if not plan.scored else []
        for sequence, count in zip(plan.sequences, plan.counts, strict=True):
            end = sequence.submitted
            begin = end - count
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
        step = self._lay(plan, frame, tokens, positions, starts, rows)
        if rows:
            step.sampling[:] = self._sampling_by_slot[[sequence.slot for sequence in owners]]
        step.sampling["counter"] = [sequence.generated for sequence in owners]
        masks = [sequence.generated < sequence.min_tokens for sequence in owners]
        step.sampling["min_tokens_mask"] = masks
        if plan.scored:
            step.sampling["target"] = targets
        for part in plan.scored:
            step.sampling["top_logprobs"][part.row : part.rows.stop] = part.sequence.request.prompt_logprobs
        frame.decoding = [] if plan.prompt_tokens or any(masks) else plan.sequences.copy()

    def _draft(self, plan: Plan, frame: Frame) -> None:
        """The last token of every sequence and what is guessed to follow it; each of them is a row that is drawn."""
        tokens: list[int] = []
        positions: list[int] = []
        counters: list[int] = []
        starts = [0]
        for sequence, draft in zip(plan.sequences, plan.drafts, strict=True):
            rows = range(1 + len(draft))
            tokens += [sequence.tokens[-1], *draft]
            positions += [sequence.submitted - 1 + row for row in rows]
            counters += [sequence.generated + row for row in rows]
            starts.append(len(tokens))
        step = self._lay(plan, frame, tokens, positions, starts, range(len(tokens)))
        step.sampling[:] = self._sampling_by_slot[[sequence.slot for sequence in plan.sampled]]
        step.sampling["counter"] = counters
        least = [sequence.min_tokens for sequence in plan.sampled]
        step.sampling["min_tokens_mask"] = np.array(counters) < least
        frame.decoding = []

    def _follow(self, plan: Plan, frame: Frame) -> None:
        """A token of every sequence that the step before draws."""
        rows, sequences = range(plan.decodes), plan.sequences
        tokens = [-1 - row for row in plan.follows]
        positions = [sequence.submitted - 1 for sequence in sequences]
        step = self._lay(plan, frame, tokens, positions, [*rows, len(rows)], rows)
        step.sampling[:] = self._sampling_by_slot[step.slots]
        step.sampling["counter"] = [sequence.generated + 1 for sequence in sequences]
        masks = [sequence.generated + 1 < sequence.min_tokens for sequence in sequences]
        step.sampling["min_tokens_mask"] = masks
        frame.decoding = [] if any(masks) else sequences.copy()

    def _lay(
        self,
        plan: Plan,
        frame: Frame,
        tokens: list[int],
        positions: list[int],
        starts: list[int],
        rows: list[int] | range,
    ) -> StepInput:
        """A step of these tokens, of which `rows` are drawn or scored, with the pages of its sequences."""
        self._tabulate(plan.sequences)
        step = frame.views(len(tokens), len(plan.sequences), len(rows))
        step.tokens[:] = tokens
        step.positions[:] = positions
        step.seq_start[:] = starts
        step.slots[:] = [sequence.slot for sequence in plan.sequences]
        step.sample_rows[:] = rows
        frame.pages_version = -1
        self._show_pages(frame)
        return step

    def _show_pages(self, frame: Frame) -> None:
        if frame.pages_version != self._pages_version:
            self._pages_by_slot.take(frame.step.slots, axis=0, out=frame.step.page_table, mode="clip")
            frame.pages_version = self._pages_version

    def _open(self, sequence: Sequence) -> None:
        for frame in self._frames:
            frame.decoding = []  # the slot may have been another sequence's
        slot = sequence.slot
        record(self._sampling_by_slot[slot : slot + 1], slot, sequence.request.sampling)

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
                self._pages_version += 1
