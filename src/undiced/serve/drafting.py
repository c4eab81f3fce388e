"""Drafting: runs a draft model for the sequences that a step guesses for. Fills its arrays; decides nothing.

The model draws its guesses with the seeds, counters and parameters that the target model's rows will have: both then
take the same turn wherever their distributions are alike, also at high temperatures. Penalties are left out: what the
draft model has drawn is not what the answer has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from undiced.core.errors import InvalidRequestError
from undiced.core.sampling import Sampling
from undiced.engine.backend import SlotState, StepInput
from undiced.engine.record import SAMPLING, greedy
from undiced.engine.row import row_of
from undiced.serve.batch import slot_state

if TYPE_CHECKING:
    from undiced.engine.backend import Backend, Limits, StepOutput
    from undiced.serve.guesser import Guessing, Task
    from undiced.serve.plan import Plan
    from undiced.serve.reading import Readings
    from undiced.serve.sequence import Sequence

_UNUSED = -1
_TRIED = 32  # tokens of the larger step that is tried


def check_pair(target: Limits, draft: Limits) -> None:
    """Whether one backend can guess for another.

    Raises:
        InvalidRequestError: it can't, with what is in the way.
    """
    remedy = "Leave the draft model out."
    if not target.draft or not target.scored_rows or (target.in_flight > 1 and not target.chained):
        raise InvalidRequestError(
            f"A backend of {target.source} draws one token of a sequence in a step, so that nothing can be guessed.",
            remedy=remedy,
        )
    for what, mine, own in (
        ("positions in a page", target.page_tokens, draft.page_tokens),
        ("pages", target.pages, draft.pages),
        ("sequences", target.max_batch, draft.max_batch),
    ):
        if (own != mine) if what == "positions in a page" else (own < mine):
            raise InvalidRequestError(
                f"The draft model has {own} {what}, and the model that it guesses for has {mine}.", remedy=remedy
            )


class Drafting:
    """See the file's head.

    Args:
        backend: of the draft model; its pages are numbered as the target's are. The caller closes it.
        readings: how far the model has read. vocab: tokens of the target model.
    """

    def __init__(self, backend: Backend, readings: Readings, vocab: int) -> None:
        limits = backend.limits
        self._backend, self._readings = backend, readings
        self._vocab = min(vocab, limits.vocab)
        self._width = -(-limits.context // limits.page_tokens)
        self._records = np.zeros(limits.max_batch, SAMPLING)

    def tried(self) -> list[tuple[int, float]]:
        """What a small and a larger step take: (tokens, seconds) of each. Before any sequence is there."""
        limits, slot = self._backend.limits, np.zeros(1, np.int32)
        self._backend.open_slot(0, SlotState())
        found = []
        for count in (1, 1, min(_TRIED, limits.max_tokens, limits.context)):
            tokens, positions = np.zeros(count, np.int32), np.arange(count, dtype=np.int32)
            pages = np.full((1, self._width), _UNUSED, np.int32)
            used = -(-count // limits.page_tokens)
            pages[0, :used] = np.arange(used)
            starts, rows = np.array([0, count], np.int32), np.array([count - 1], np.int32)
            batch = StepInput(tokens, positions, starts, slot, pages, rows, greedy(slot))
            found.append((count, self._backend.collect(self._backend.submit(batch)).seconds))
        return found[1:]  # the first one may have waited for memory

    def run(self, plan: Plan) -> float:
        """Guess what the plan wants of the draft model, and put it into the plan; returns the seconds that it took."""
        guessing = plan.guessing
        assert guessing is not None
        drafting = self._begin(guessing)
        while drafting:
            drafting = self._step(guessing, drafting)
        for place, task in zip(guessing.places, guessing.tasks, strict=True):
            plan.drafts[place] = task.sequence.guess(task.guesses[: task.kept])
        plan.draft(plan.drafts)
        return guessing.seconds

    def _begin(self, guessing: Guessing) -> list[Task]:
        """The tasks that can be done now: not those whose pages another one writes."""
        written: set[int] = set()
        for task in guessing.tasks:
            sequence = task.sequence
            reading = task.reading
            task.base = len(sequence.tokens)
            begin = reading.read
            end = min(begin + task.lag + max(task.wanted - 1, 0), len(sequence.pages) * sequence.page_tokens)
            pages = self._readings.touched(sequence, begin, end)
            unknown = any(not 0 <= token < self._vocab for token in sequence.tokens[begin : begin + task.lag])
            reading.failed = reading.failed or unknown
            if unknown or not written.isdisjoint(pages):
                task.lag = 0
                continue
            written.update(pages)
            self._readings.write(sequence, begin, end)
            if not reading.opened:
                self._open(sequence)
                reading.opened = True
        return [task for task in guessing.tasks if task.lag]

    def _open(self, sequence: Sequence) -> None:
        request, slot = sequence.request, sequence.slot
        state = slot_state(request, self._vocab)
        inside = tuple((token, value) for token, value in state.bias if token < self._vocab)
        allowed = tuple(token for token in state.allowed if token < self._vocab)
        self._backend.open_slot(slot, SlotState((), inside, state.eos, allowed))
        self._records[slot] = np.frombuffer(row_of(slot, _unpenalized(request.sampling)), SAMPLING)[0]
        self._records[slot]["top_logprobs"] = 0

    def _step(self, guessing: Guessing, tasks: list[Task]) -> list[Task]:
        """One step of the model; returns the tasks that go on."""
        batch = self._batch(tasks)
        output = self._backend.collect(self._backend.submit(batch))
        guessing.steps.append((len(batch.tokens), output.seconds))
        guessing.joules += output.joules
        drawn = [task for task in tasks if task.wanted]
        for task in tasks:
            if not task.guesses:
                begin = task.reading.read
                self._readings.told(task.sequence, begin, begin + task.lag)
        return [task for task, on in zip(drawn, self._taken(guessing, drawn, output), strict=True) if on]

    def _taken(self, guessing: Guessing, tasks: list[Task], output: StepOutput) -> list[bool]:
        """Whether each task goes on behind what was drawn."""
        drawn, logprobs = output.tokens.tolist(), output.logprobs.tolist()
        goes_on = []
        for task, token, logprob in zip(tasks, drawn, logprobs, strict=True):
            reading = task.reading
            if not 0 <= token < self._vocab:  # the model computes no numbers, or a token that the target does not have
                reading.failed = token < 0
                goes_on.append(False)
                continue
            if task.guesses:
                reading.ahead.append(task.guesses[-1])
            goes_on.append(task.add(token, logprob, guessing.worth, len(tasks)))
        return goes_on

    def _batch(self, tasks: list[Task]) -> StepInput:
        tokens: list[int] = []
        positions: list[int] = []
        starts, rows = [0], []
        counters: list[int] = []
        masks: list[bool] = []
        pages = np.full((len(tasks), self._width), _UNUSED, np.int32)
        for number, task in enumerate(tasks):
            sequence = task.sequence
            if task.guesses:
                at = task.base + len(task.guesses) - 1
                tokens.append(task.guesses[-1])
                positions.append(at)
                end = at + 1
            else:
                begin = task.reading.read
                end = begin + task.lag
                tokens += sequence.tokens[begin:end]
                positions += range(begin, end)
            shown = sequence.pages[: -(-end // sequence.page_tokens)]
            pages[number, : len(shown)] = shown
            starts.append(len(tokens))
            if task.wanted:
                rows.append(len(tokens) - 1)
                counters.append(sequence.generated + len(task.guesses))
                masks.append(counters[-1] < sequence.min_tokens)
        slots = [task.sequence.slot for task in tasks]
        sampling = self._records[[task.sequence.slot for task in tasks if task.wanted]]
        sampling["counter"], sampling["min_tokens_mask"] = counters, masks
        return StepInput(
            tokens=np.array(tokens, np.int32),
            positions=np.array(positions, np.int32),
            seq_start=np.array(starts, np.int32),
            slots=np.array(slots, np.int32),
            page_table=pages,
            sample_rows=np.array(rows, np.int32),
            sampling=sampling,
        )


def _unpenalized(sampling: Sampling) -> Sampling:
    """The same draws without what depends on the tokens drawn before."""
    if not sampling.penalizes:
        return sampling
    return replace(sampling, repetition_penalty=1.0, frequency_penalty=0.0, presence_penalty=0.0)
