"""The Backend protocol: arrays in, arrays out, step by step. Knows no text and no policy.

A step mixes decoding and chunked prefill: the tokens of all its sequences lie one after another in flat arrays.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from undiced.core.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PAGE_TOKENS = 32  # positions that a KV page of the host and of its interpreter holds
BUG = "This is a bug; please report it."


class Limits(Struct, frozen=True):
    """What a backend can hold.

    Attributes:
        max_batch: sequences in one step; also the number of slots (per-sequence sampling state).
        max_tokens: tokens in one step, over all sequences.
        context: positions a sequence may reach.
        pages: KV pages in the pool; page_tokens: positions a page holds.
        vocab: size of the logits.
        source: "host", "interpreter" or a machine's name; every second this backend reports carries it.
        scored_rows: sampled rows in a step besides one per sequence, for prompts whose log-probabilities are wanted and
            for drafts.
        draft: tokens of a draft that leave every row of a step as it would be without them, to the last bit; 0: none.
        hidden: width of the hidden states that it can tell; 0: none.
        in_flight: steps that may be submitted before the first of them is collected. A pipeline is busy only with as
            many as it has stages; a single team computes one at a time.
        chained: a step may read tokens that the step before it draws. Then the steps in flight are of the same
            sequences, and not a pipeline of several groups.
        prompt_multiple: tokens of a prompt take least time each where a step has a multiple of this many.
    """

    max_batch: int
    max_tokens: int
    context: int
    pages: int
    page_tokens: int
    vocab: int
    source: str
    scored_rows: int = 0
    in_flight: int = 1
    hidden: int = 0
    draft: int = 0
    chained: bool = False
    prompt_multiple: int = 1


class StepInput(Struct):
    """One step. T tokens of S sequences; R of the token rows are sampled; P pages per sequence at most.

    Attributes:
        tokens: int32 (T,), the sequences' new tokens one sequence after another. -1 - r is the token that row r of the
            step submitted before draws, where limits are `chained`; if that row gets none, this one is for nobody.
        positions: int32 (T,), each token's position in its sequence, from 0.
        seq_start: int32 (S + 1,), where each sequence's tokens begin in `tokens`; last entry T.
        slots: int32 (S,), distinct, each in [0, max_batch).
        page_table: int32 (S, P), the pages of each sequence in order; entries past its length are -1.
        sample_rows: int32 (R,), ascending indices into `tokens`: a sequence's last row once its prompt is done, and
            before it the rows of its prompt that have a target. Where several rows of a sequence are drawn, the tokens
            of all but the first are a draft: a row is drawn only if the one before drew the token that it has read.
        sampling: structured (R,), rows of `engine.record.SAMPLING`.
        masks: int32 (M, ceil(vocab / 32)) or None; a row of `sampling` names one of them, or -1. Bit b of word w allows
            token 32 w + b.
        hidden: whether hidden states are wanted.
    """

    tokens: NDArray[np.int32]
    positions: NDArray[np.int32]
    seq_start: NDArray[np.int32]
    slots: NDArray[np.int32]
    page_table: NDArray[np.int32]
    sample_rows: NDArray[np.int32]
    sampling: NDArray[np.void]
    masks: NDArray[np.int32] | None = None
    hidden: bool = False

    def arrays(self) -> StepInput:
        """This step; see `PlainStep.arrays`."""
        return self


class PlainStep(Struct):
    """A `StepInput` whose arrays are plain memory, which native code reads as well: nobody has to load numpy for it.

    Attributes:
        sampling: bytes, rows of `engine.row.ROW`.
        others: see `StepInput`.
    """

    tokens: memoryview
    positions: memoryview
    seq_start: memoryview
    slots: memoryview
    page_table: memoryview
    sample_rows: memoryview
    sampling: memoryview
    masks: NDArray[np.int32] | None = None
    hidden: bool = False

    def arrays(self) -> StepInput:
        """The same memory as numpy's arrays."""
        import numpy as np

        from undiced.engine.record import SAMPLING

        return StepInput(
            np.asarray(self.tokens),
            np.asarray(self.positions),
            np.asarray(self.seq_start),
            np.asarray(self.slots),
            np.asarray(self.page_table),
            np.asarray(self.sample_rows),
            np.frombuffer(self.sampling, SAMPLING),
            self.masks,
            self.hidden,
        )


AnyStep = StepInput | PlainStep


class NoToken(IntEnum):
    """Why a sampled row has no token: what stands in its place. Other rows are not affected."""

    NON_FINITE = -1  # some logit is infinite or NaN
    NOTHING_ALLOWED = -2  # every token is forbidden
    NOT_REACHED = -3  # it continues a draft that was left in an earlier row, or what has ended


class StepOutput(Struct):
    """What a step produced; arrays, or plain memory of their shapes, are the caller's to keep until the next `collect`.

    Attributes:
        tokens: int32 (R,), the sampled tokens; for a row with a target, that; or a `NoToken`.
        logprobs: float32 (R,), log of the sampled token's probability before penalties and temperature; else 0.
        top_ids, top_logprobs: int32 and float32 (R, 20), most likely first; -1 and -inf where not asked.
        hidden: float32 (R, width), what the head saw of each row, if it was wanted.
        seconds: what the step took, on the clock that `Limits.source` names: from its submission, or from the end of
            the step before it if that was later.
        joules: energy of the step, or NaN where it is not known.
    """

    tokens: NDArray[np.int32] | memoryview
    logprobs: NDArray[np.float32] | memoryview
    top_ids: NDArray[np.int32] | memoryview
    top_logprobs: NDArray[np.float32] | memoryview
    seconds: float
    joules: float
    hidden: NDArray[np.float32] | None = None


class SlotState(Struct, frozen=True):
    """What is set when a sequence takes a slot.

    Attributes:
        prompt: token ids that penalties count as seen (repetition penalty only).
        bias: pairs (token id, added logit).
        allowed: the only token ids that may be drawn, ascending; empty: all.
        eos: token ids that end it, forbidden while `min_tokens_mask` is set. A step that only goes on behind such ends
            may be left out: its rows are not reached.
        prompt_tokens: how many positions are its prompt's, which get the same bits however the prompt is cut; 0 if that
            is not known.
    """

    prompt: tuple[int, ...] = ()
    bias: tuple[tuple[int, float], ...] = ()
    eos: tuple[int, ...] = ()
    allowed: tuple[int, ...] = ()
    prompt_tokens: int = 0


class Backend(Protocol):
    """Something that runs a program.

    Steps take effect in the order of their submission: a step may read the keys and values that an earlier one writes,
    though that one has not been collected yet. A position may be written again: what a draft that was wrong left there
    is gone, and nothing else has to take it back.
    """

    limits: Limits

    def open_slot(self, slot: int, state: SlotState) -> None:
        """Reset a slot for a new sequence; no step in flight uses it. Cheap when `state` is empty."""

    def count_tokens(self, slot: int, tokens: list[int]) -> None:
        """Count tokens of a slot's sequence that were generated without being drawn; no step in flight uses it."""

    def submit(self, batch: AnyStep) -> int:
        """Hand over one step, which writes KV of all tokens, samples the asked rows and counts sampled tokens in their
        slots. Its arrays must not change until it has been collected.

        Returns a ticket for `collect`. At most `limits.in_flight` tickets may be open.

        Raises:
            EngineError: the engine failed; the backend can't be used any more.
        """

    def collect(self, ticket: int) -> StepOutput:
        """Wait for the outcome of a step. Tickets are collected in the order in which they were given; a call that was
        interrupted can be repeated.

        Raises:
            EngineError: the engine failed; the backend can't be used any more.
        """

    def progress(self) -> int:
        """A count that moves while a step does, so that a long step can be told from one that hangs.

        Any thread may ask at any time.
        """

    def close(self) -> None:
        """Free threads and memory; idempotent."""


class Submitted:
    """Steps in flight, oldest first, with their tickets; for backends that compute when they are asked to collect."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._batches: deque[AnyStep] = deque()
        self._first = 0  # ticket of the oldest

    def push(self, batch: AnyStep) -> int:
        """Take in a step; returns its ticket."""
        if len(self._batches) >= self._most:
            raise EngineError(f"{self._most} steps are in flight already.", remedy=BUG)
        self._batches.append(batch)
        return self._first + len(self._batches) - 1

    @property
    def alone(self) -> bool:
        """Whether one step is in flight."""
        return len(self._batches) == 1

    def behind(self, count: int) -> list[tuple[int, AnyStep]]:
        """The steps in flight but the oldest so many, with their tickets."""
        return list(enumerate(self._batches, self._first))[count:]

    def oldest(self, ticket: int) -> AnyStep:
        """The oldest step, which must be the ticket's. It stays until it is `done`, so that a `collect` that was
        interrupted can be repeated.
        """
        if not self._batches or ticket != self._first:
            raise EngineError(f"Step {ticket} is not the next to be collected.", remedy=BUG)
        return self._batches[0]

    def done(self) -> None:
        """The oldest step has been computed."""
        self._first += 1
        self._batches.popleft()
