"""StepBuffer: turns a plan into a backend's arrays.

As many frames of arrays as steps may be in flight, allocated once. A step of the same decoding sequences as the frame
held before moves three arrays of it; so does one of a single sequence, whatever is guessed for it. The pages and the
sampling parameters of a slot are written when something changes, and gathered when the batch does. All of it is plain
memory: who wants no masks needs no numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.plain import ints, room, table
from undiced.core.sampling import NO_MASK, NO_TARGET
from undiced.engine.backend import PlainStep, SlotState
from undiced.engine.row import OFFSETS, ROW, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from undiced.engine.backend import Limits
    from undiced.serve.plan import Plan
    from undiced.serve.request import Request
    from undiced.serve.sequence import Sequence

_UNUSED = -1
_MASK_BITS = 32  # tokens of a word of a mask
_WORD, _NUMBER = 8, 4  # bytes of a counter and of other integers; rows are whole words, and all is aligned
_ROW_WORDS, _ROW_NUMBERS = ROW.size // _WORD, ROW.size // _NUMBER
_COUNTER = OFFSETS["counter"] // _WORD


def slot_state(request: Request, vocab: int, *, chained: bool = False) -> SlotState:
    """What a backend with `vocab` logits must know of a request for as long as it holds a slot.

    A tokenizer may name end tokens that the model has no logit for; those need no ban. chained: a step may follow on
    tokens that nobody has seen yet, so that the backend has to know an end when it draws one.
    """
    sampling = request.sampling
    return SlotState(
        prompt=request.prompt if sampling.repetition_penalty != 1.0 else (),
        bias=sampling.logit_bias,
        eos=tuple(sorted(t for t in request.stops if 0 <= t < vocab)) if chained or sampling.min_tokens > 0 else (),
        allowed=tuple(sorted(set(sampling.allowed))),
        prompt_tokens=len(request.prompt),
    )


class Frame:
    """The arrays of one step, and what they show.

    Attributes:
        step: views of the arrays that the step fills.
        decoding: the sequences of the rows, if nothing but their tokens, positions and counters will change while all
            of them decode; else empty.
        alone: the sequence that decodes by itself, whose rows the frame holds, as many as a step may draw; or None.
        pages_version: of the page table that it shows.
    """

    def __init__(self, limits: Limits, width: int) -> None:
        rows, samples = limits.max_batch, limits.max_batch + limits.scored_rows
        self._tokens = room("i", limits.max_tokens)
        self._positions = room("i", limits.max_tokens)
        self._starts = room("i", rows + 1)
        self._slots = room("i", rows)
        self._samples = room("i", samples)
        self._width, self._pages = width, room("i", rows * width)
        self._page_table = table(self._pages, width)
        self._masks: NDArray[np.int32] | None = None  # made for the first guided sequence
        self._mask_shape = rows, -(-limits.vocab // _MASK_BITS)
        self._sampling = room("B", samples * ROW.size)
        self._counters = self._sampling.cast("Q")
        self._numbers = self._sampling.cast("i")
        self.decoding: list[Sequence] = []
        self.alone: Sequence | None = None
        self.most_alone = min(1 + limits.draft, samples, limits.max_tokens)
        self._steps_alone: dict[int, PlainStep] = {}  # by rows
        self.pages_version = 0
        self.step = self.views(0, 0, 0)

    def views(self, tokens: int, sequences: int, samples: int) -> PlainStep:
        """A step of so many tokens, sequences and sampled rows."""
        self.step = PlainStep(
            tokens=self._tokens[:tokens],
            positions=self._positions[:tokens],
            seq_start=self._starts[: sequences + 1],
            slots=self._slots[:sequences],
            page_table=self._page_table[:sequences],
            sample_rows=self._samples[:samples],
            sampling=self._sampling[: samples * ROW.size],
        )
        return self.step

    def show_pages(self, pages_by_slot: list[memoryview]) -> None:
        """Gather the pages of the step's sequences."""
        end = 0
        for slot in self.step.slots:
            begin, end = end, end + self._width
            self._pages[begin:end] = pages_by_slot[slot]

    def count(self, counters: Iterable[int]) -> None:
        """Tell each row which token of its sequence it draws."""
        at = _COUNTER
        for counter in counters:
            self._counters[at] = counter
            at += _ROW_WORDS

    def put(self, field: str, values: Iterable[int], first: int = 0) -> None:
        """Write a field of rows that follow one another."""
        at = OFFSETS[field] // _NUMBER + first * _ROW_NUMBERS
        for value in values:
            self._numbers[at] = value
            at += _ROW_NUMBERS

    def settle(self, sequence: Sequence, row: bytes) -> None:
        """Steps of one sequence alone begin, whose rows are drawn by these parameters."""
        most = self.most_alone
        self.alone, self.decoding, self.pages_version = sequence, [], -1
        self._starts[0] = 0
        self._slots[0] = sequence.slot
        self._samples[:most] = ints(range(most))
        self._sampling[: most * ROW.size] = row * most

    def go_on(self, draft: list[int], follows: list[int]) -> None:
        """The next token of the sequence that is alone, or the row that draws it; and what is guessed to follow."""
        sequence = self.alone
        assert sequence is not None
        rows = 1 + len(draft)
        step = self._steps_alone.get(rows)
        if step is None:
            step = self._steps_alone[rows] = self.views(rows, 1, rows)
        self.step, step.masks = step, None
        tokens, positions, counters = self._tokens, self._positions, self._counters
        self._starts[1] = rows
        tokens[0] = -1 - follows[0] if follows else sequence.tokens[-1]
        position, count, counter = sequence.submitted - 1, sequence.generated + sequence.awaits - 1, _COUNTER
        for row in range(rows):
            if row:
                tokens[row] = draft[row - 1]
            positions[row] = position + row
            counters[counter] = count + row
            counter += _ROW_WORDS

    def guide(self, plan: Plan) -> None:
        """Masks for the sampled rows that must look like something; others are free."""
        if self._masks is None:
            import numpy as np

            self._masks = np.zeros(self._mask_shape, np.int32)
        rows = plan.sampled_rows() if plan.scored else range(len(plan.sampled))
        used = 0
        for row, sequence in zip(rows, plan.sampled, strict=True):
            if sequence.guidance is None:
                continue
            bound = sequence.guidance.fill(self._masks[used])
            self.put("mask", (used if bound else NO_MASK,), row)
            used += bound
        self.step.masks = self._masks[:used]

    def move(self, follows: list[int]) -> None:
        """The next token of every decoding sequence, or the row of the step before that draws it."""
        tokens, positions, counters = self._tokens, self._positions, self._counters
        counter = _COUNTER
        for row, sequence in enumerate(self.decoding):
            tokens[row] = -1 - follows[row] if follows else sequence.tokens[-1]
            positions[row] = sequence.submitted - 1
            counters[counter] = sequence.generated + sequence.submitted - len(sequence.tokens)
            counter += _ROW_WORDS


class StepBuffer:
    """The arrays of all steps in flight."""

    def __init__(self, limits: Limits) -> None:
        rows, width = limits.max_batch, -(-limits.context // limits.page_tokens)
        self._frames = [Frame(limits, width) for _ in range(limits.in_flight)]
        self._next = 0  # the frame whose step was submitted longest ago, and by now is collected
        self._blank = ints([_UNUSED] * width)
        self._pages_by_slot = [ints(self._blank) for _ in range(rows)]
        self._pages_version = 0
        self._rows_by_slot = [bytes(ROW.size)] * rows

    def fill(self, plan: Plan) -> PlainStep:
        """The arrays of a plan just made, valid until as many more calls as steps may be in flight."""
        frame = self._frames[self._next]
        self._next = (self._next + 1) % len(self._frames)
        for sequence in plan.opened:
            self._open(sequence)
        if plan.decodes != 1 or len(plan.sequences) != 1 or not self._alone(plan, frame):
            self._together(plan, frame)
        if plan.guided:
            frame.guide(plan)
        frame.step.hidden = bool(plan.embeds)
        return frame.step

    def _together(self, plan: Plan, frame: Frame) -> None:
        """A step of any sequences; the frame's last rows go on where nothing but tokens changes."""
        if plan.drafts:
            self._draft(plan, frame)
        elif not plan.prompt_tokens and plan.sequences == frame.decoding:
            if plan.grown:
                self._tabulate(plan.grown)
            self._show_pages(frame)
            frame.move(plan.follows)
        elif plan.follows:
            self._follow(plan, frame)
        else:
            self._gather(plan, frame)

    def _alone(self, plan: Plan, frame: Frame) -> bool:
        """A step of one sequence that decodes; False if its rows change by more than tokens, positions and counters."""
        sequence = plan.sequences[0]
        draft = plan.drafts[0] if plan.drafts else []
        if sequence.generated < sequence.min_tokens or len(draft) >= frame.most_alone:
            return False
        if frame.alone is not sequence:
            frame.settle(sequence, self._rows_by_slot[sequence.slot])
        self._tabulate(plan.sequences)
        frame.go_on(draft, plan.follows)
        self._show_pages(frame)
        return True

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
        self._lay(plan, frame, tokens, positions, starts, rows)
        masks = [sequence.generated < sequence.min_tokens for sequence in owners]
        self._rows(frame, owners, [sequence.generated for sequence in owners], masks)
        if plan.scored:
            frame.put("target", targets)
        for part in plan.scored:
            frame.put("top_logprobs", [part.sequence.request.prompt_logprobs] * len(part.rows), part.row)
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
        self._lay(plan, frame, tokens, positions, starts, range(len(tokens)))
        owners = plan.sampled
        masks = [counter < owner.min_tokens for counter, owner in zip(counters, owners, strict=True)]
        self._rows(frame, owners, counters, masks)
        frame.decoding = []

    def _follow(self, plan: Plan, frame: Frame) -> None:
        """A token of every sequence that the step before draws."""
        rows, sequences = range(plan.decodes), plan.sequences
        tokens = [-1 - row for row in plan.follows]
        positions = [sequence.submitted - 1 for sequence in sequences]
        self._lay(plan, frame, tokens, positions, [*rows, len(rows)], rows)
        before = [sequence.generated + sequence.awaits - 1 for sequence in sequences]
        masks = [count < sequence.min_tokens for count, sequence in zip(before, sequences, strict=True)]
        self._rows(frame, sequences, before, masks)
        frame.decoding = [] if any(masks) else sequences.copy()

    def _lay(
        self,
        plan: Plan,
        frame: Frame,
        tokens: list[int],
        positions: list[int],
        starts: list[int],
        rows: list[int] | range,
    ) -> None:
        """A step of these tokens, of which `rows` are drawn or scored, with the pages of its sequences."""
        self._tabulate(plan.sequences)
        frame.alone = None
        step = frame.views(len(tokens), len(plan.sequences), len(rows))
        step.tokens[:] = ints(tokens)
        step.positions[:] = ints(positions)
        step.seq_start[:] = ints(starts)
        step.slots[:] = ints([sequence.slot for sequence in plan.sequences])
        step.sample_rows[:] = ints(rows)
        frame.pages_version = -1
        self._show_pages(frame)

    def _rows(self, frame: Frame, owners: list[Sequence], counters: list[int], masks: list[bool]) -> None:
        """How the step's rows are drawn: by whose parameters, as which token, and whether it may be the last one."""
        frame.step.sampling[:] = b"".join([self._rows_by_slot[owner.slot] for owner in owners])
        frame.count(counters)
        if any(masks):
            frame.put("min_tokens_mask", masks)

    def _show_pages(self, frame: Frame) -> None:
        if frame.pages_version != self._pages_version:
            frame.show_pages(self._pages_by_slot)
            frame.pages_version = self._pages_version

    def _open(self, sequence: Sequence) -> None:
        for frame in self._frames:
            frame.decoding, frame.alone = [], None  # the slot may have been another sequence's
        self._rows_by_slot[sequence.slot] = row_of(sequence.slot, sequence.request.sampling)

    def _tabulate(self, sequences: list[Sequence]) -> None:
        """Write pages that the rows by slot do not show yet; a sequence that starts over clears its row."""
        for sequence in sequences:
            shown, pages = sequence.tabled, sequence.pages
            if shown != len(pages):
                row = self._pages_by_slot[sequence.slot]
                if shown == 0:
                    row[:] = self._blank
                row[shown : len(pages)] = ints(pages[shown:])
                sequence.tabled = len(pages)
                self._pages_version += 1
