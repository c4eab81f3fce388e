"""FakeBackend: a backend without a model.

The next token is a hash of all tokens before it, read back from its KV pages. For tests, and for measuring what
everything around the engine costs. It refuses every step that breaks the contract of `Backend`, and a page that was
shared, lost or overwritten by mistake changes the tokens that follow. With `limits.in_flight` above 1 it is a pipeline
of as many stages, and refuses whatever touches the pages, slots or arrays of a step in flight.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from undiced.core.errors import EngineError
from undiced.core.sampling import TOP_LOGPROBS_MAX
from undiced.engine.backend import AnyStep, Limits, NoToken, SlotState, StepInput, StepOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from undiced.engine.load import BackendOptions, Progress

FAKE_LIMITS = Limits(
    max_batch=32,
    max_tokens=256,
    context=4096,
    pages=1024,
    page_tokens=16,
    vocab=1000,
    source="host",
    scored_rows=8,
    hidden=4,
    draft=7,
)


@dataclass(frozen=True, slots=True)
class Draw:
    """What a token depends on besides the history: seed and index if it is sampled, tokens counted in the slot if it
    is penalized.
    """

    seed: int = 0
    counter: int = 0
    counted: int = 0
    forbidden: tuple[int, ...] = ()
    allowed: tuple[int, ...] = ()
    repeats: int = 0  # three times in four the token that stands so many places before comes again


def fake_token(history: NDArray[np.int32], vocab: int, draw: Draw) -> int:
    """The token after `history`."""
    salt = zlib.crc32(f"{draw.seed},{draw.counter},{draw.counted}".encode())
    noise = zlib.crc32(history.tobytes(), salt)
    token = noise % vocab
    if 0 < draw.repeats <= len(history) and noise & 0x30000:
        token = int(history[-draw.repeats])
    if draw.allowed:
        return draw.allowed[token % len(draw.allowed)]
    while token in draw.forbidden:
        token = (token + 1) % vocab
    return token


def fake_logprob(history: NDArray[np.int32], target: int) -> float:
    """The log-probability of `target` after `history`, a multiple of 1/64 so that every float holds it."""
    return -(zlib.crc32(history.tobytes(), target) % 1000 + 1) / 64


@dataclass(frozen=True, slots=True)
class Flight:
    """A step in flight.

    Attributes:
        checksum: of its arrays.
        used, written: sequences' slots by the pages that the step reads and writes.
    """

    batch: StepInput
    checksum: int
    used: dict[int, set[int]]
    written: dict[int, int]


def _checksum(batch: StepInput) -> int:
    arrays = (batch.tokens, batch.positions, batch.seq_start, batch.slots, batch.page_table, batch.sample_rows)
    masks = b"" if batch.masks is None else batch.masks.tobytes()
    return zlib.crc32(b"".join(array.tobytes() for array in (*arrays, batch.sampling)) + masks)


class FakeBackend:
    """See the file's head.

    Args:
        limits: what it pretends to hold.
        step_s, token_s: seconds that a step reports, in all and for each of its tokens; slept if `sleep`.
        poison: a token that makes the step fail in which it is read; -1 for none.
        broken: a token after which a sequence's logits are not finite; -1 for none.
        repeats: how its texts repeat themselves, see `Draw`.
    """

    def __init__(
        self,
        limits: Limits = FAKE_LIMITS,
        *,
        step_s: float = 0.0,
        token_s: float = 0.0,
        sleep: bool = False,
        poison: int = -1,
        broken: int = -1,
        repeats: int = 0,
    ) -> None:
        self.limits = limits
        self.steps: list[tuple[int, int]] = []  # sequences and tokens of the latest steps
        self.flights: deque[Flight] = deque()
        self._ticket = 0  # of the oldest flight
        self._done_s: deque[float] = deque()  # when each flight leaves the last stage, from now
        # When each stage is free, from now; chained steps are computed by one team.
        self._free_s = [0.0] * (1 if limits.chained else limits.in_flight)
        self._drawn: list[int] = []  # by the rows of the step that was collected last
        self._step_s, self._token_s, self._sleep, self._poison = step_s, token_s, sleep, poison
        self._broken, self._repeats = broken, repeats
        self._kv = np.full((limits.pages, limits.page_tokens), -1, np.int32)
        self._slots: list[SlotState | None] = [None] * limits.max_batch
        self._counted = [0] * limits.max_batch
        self._begun = 0

    def open_slot(self, slot: int, state: SlotState) -> None:
        """Reset a slot."""
        _must(all(slot not in flight.batch.slots for flight in self.flights), "a slot in flight can't be opened")
        self._slots[slot] = state
        self._counted[slot] = 0

    def count_tokens(self, slot: int, tokens: list[int]) -> None:
        """Count tokens that nobody drew."""
        _must(all(slot not in flight.batch.slots for flight in self.flights), "a slot in flight can't count")
        self._counted[slot] += len(tokens)

    def submit(self, batch: AnyStep) -> int:
        """Check the step, also against those in flight."""
        batch = batch.arrays()
        _must(len(self.flights) < self.limits.in_flight, "no more steps in flight than the limit")
        self._check(batch, batch.seq_start.tolist())
        flight = Flight(batch, _checksum(batch), *self._touched(batch))
        for other in self.flights:
            for page, slot in flight.written.items():
                _must(other.used.get(page, {slot}) == {slot}, "a page in flight can't be written by another sequence")
            for page, slots in flight.used.items():
                _must(page not in other.written or slots == {other.written[page]}, "a page in flight can't be shared")
        self.flights.append(flight)
        self._enter(self._step_s + self._token_s * len(batch.tokens))
        return self._ticket + len(self.flights) - 1

    def _enter(self, seconds: float) -> None:
        """Let a step of so many seconds through the stages, each of which takes its share."""
        at = 0.0
        for stage, free_s in enumerate(self._free_s):
            at = max(at, free_s) + seconds / len(self._free_s)
            self._free_s[stage] = at
        self._done_s.append(at)

    def _leave(self) -> float:
        """Wait for the oldest step to leave the last stage; returns for how long."""
        seconds = self._done_s.popleft()
        self._done_s = deque(done_s - seconds for done_s in self._done_s)
        self._free_s = [max(free_s - seconds, 0.0) for free_s in self._free_s]
        return seconds

    def _touched(self, batch: StepInput) -> tuple[dict[int, set[int]], dict[int, int]]:
        used: dict[int, set[int]] = {}
        written: dict[int, int] = {}
        for index, slot in enumerate(batch.slots.tolist()):
            first, last = (
                int(batch.positions[batch.seq_start[index]]),
                int(batch.positions[batch.seq_start[index + 1] - 1]),
            )
            size = self.limits.page_tokens
            pages = batch.page_table[index, : last // size + 1].tolist()
            for page in pages:
                used.setdefault(page, set()).add(slot)
            written.update(dict.fromkeys(pages[first // size :], slot))
        return used, written

    def collect(self, ticket: int) -> StepOutput:
        """Write the tokens into their pages, hash the histories of the sampled rows."""
        _must(bool(self.flights) and ticket == self._ticket, "steps are collected in order")
        batch = self.flights[0].batch
        _must(_checksum(batch) == self.flights[0].checksum, "arrays of a step in flight must not change")
        self._ticket += 1
        self.flights.popleft()
        self._begun += 1
        if self._poison >= 0 and self._poison in batch.tokens:
            raise EngineError("The fake engine met its poison.")
        batch = replace(batch, tokens=self._known(batch.tokens))
        starts = batch.seq_start.tolist()
        rows: list[int] = batch.sample_rows.tolist()
        sampled: list[int] = []
        logprobs: list[float] = []
        for index, slot in enumerate(batch.slots.tolist()):
            begin, end = starts[index], starts[index + 1]
            history, before = self._write(batch, index, begin, end), None
            while len(sampled) < len(rows) and rows[len(sampled)] < end:
                row, record = rows[len(sampled)], batch.sampling[len(sampled)]
                seen = history[: len(history) - (end - 1 - row)]
                logprobs.append(-0.5 if record["target"] < 0 else fake_logprob(seen, int(record["target"])))
                if record["target"] >= 0:
                    _must(record["top_logprobs"] >= 0, "a row with a target asks for log-probabilities")
                    broken = self._broken >= 0 and self._broken in seen
                    sampled.append(NoToken.NON_FINITE if broken else int(record["target"]))
                    continue
                _must(rows[len(sampled) :][: end - row] == [*range(row, end)], "drawn rows are a sequence's last ones")
                if before is not None and before != batch.tokens[row]:
                    before = NoToken.NOT_REACHED
                else:
                    before = self._sample(seen, record, slot, _allowed(batch, int(record["mask"])))
                sampled.append(before)
        _must(len(sampled) == len(rows) == len(batch.sampling), "every sampled row needs its parameters")
        self._drawn = sampled
        seconds = self._leave()
        if self._sleep:
            time.sleep(seconds)
        self.steps = [*self.steps[-9:], (len(batch.slots), len(batch.tokens))]
        return self._output(np.array(sampled, np.int32), np.array(logprobs, np.float32), batch, seconds)

    def _known(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        """The tokens, with those that the step before drew in place of what stands for them."""
        return np.array(
            [token if token >= 0 else max(self._drawn[-1 - token], 0) for token in tokens.tolist()], np.int32
        )

    def progress(self) -> int:
        """Steps begun."""
        return self._begun

    def close(self) -> None:
        """Nothing to free."""

    def _check(self, batch: StepInput, starts: list[int]) -> None:
        limits, slots = self.limits, batch.slots.tolist()
        _must(0 < len(batch.tokens) <= limits.max_tokens, "a step must have tokens, and no more than its limit")
        _must(
            0 < len(slots) <= limits.max_batch and len(set(slots)) == len(slots),
            "slots must be distinct and within the batch",
        )
        _must(
            len(starts) == len(slots) + 1 and starts[0] == 0 and starts[-1] == len(batch.tokens),
            "seq_start must cover the tokens",
        )
        _must(all(self._slots[slot] is not None for slot in slots), "a slot must be opened before it is used")
        drawn = len(self.flights[-1].batch.sample_rows) if limits.chained and self.flights else 0
        _must(
            bool((batch.tokens >= -drawn).all() and (batch.tokens < limits.vocab).all()),
            "tokens must be in the vocabulary, or drawn by the step before",
        )

    def _write(self, batch: StepInput, index: int, begin: int, end: int) -> NDArray[np.int32]:
        """Store a sequence's new tokens; returns its whole history as its pages show it."""
        size, first, count = self.limits.page_tokens, int(batch.positions[begin]), end - begin
        positions = np.arange(first, first + count)
        _must(count > 0 and bool((batch.positions[begin:end] == positions).all()), "positions must follow one another")
        _must(first + count <= self.limits.context, "a sequence must stay within the context")
        pages = batch.page_table[index, : -(-(first + count) // size)]
        _must(
            bool((pages >= 0).all()) and len(set(pages.tolist())) == len(pages),
            "every position needs a page of its own",
        )
        rest = batch.page_table[index, len(pages) :]
        _must(bool((rest[1:] == -1).all()), "entries past the pages, and one for a draft, must be -1")
        _must(not (set(rest.tolist()) & set(pages.tolist())), "a page holds other positions of its sequence")
        self._kv[pages[positions // size], positions % size] = batch.tokens[begin:end]
        return self._kv[pages].reshape(-1)[: first + count]

    def _sample(self, history: NDArray[np.int32], row: np.void, slot: int, allowed: tuple[int, ...] | None) -> int:
        _must(int(row["slot"]) == slot, "sampling parameters must belong to the sequence's slot")
        if self._broken >= 0 and self._broken in history:
            return NoToken.NON_FINITE
        state = self._slots[slot] or SlotState()
        drawn = row["temperature"] > 0
        draw = Draw(
            seed=int(row["seed"]) if drawn else 0,
            counter=int(row["counter"]) if drawn else 0,
            counted=self._counted[slot] if row["presence_penalty"] else 0,
            allowed=state.allowed if allowed is None else allowed,
            forbidden=state.eos if row["min_tokens_mask"] else (),
            repeats=self._repeats,
        )
        self._counted[slot] += 1
        if allowed == ():
            return NoToken.NOTHING_ALLOWED
        return fake_token(history, self.limits.vocab, draw)

    def _output(
        self, tokens: NDArray[np.int32], logprobs: NDArray[np.float32], batch: StepInput, seconds: float
    ) -> StepOutput:
        ranks = np.arange(TOP_LOGPROBS_MAX, dtype=np.int32)
        rivals = ((tokens[:, None] + ranks) % self.limits.vocab).astype(np.int32)
        values = np.broadcast_to(np.float32(-0.5) - ranks.astype(np.float32), rivals.shape)
        output = StepOutput(tokens, logprobs, rivals, values, seconds, float(len(batch.tokens)))
        if batch.hidden:  # of a token that stands for the whole history
            output.hidden = np.stack([np.cos(tokens * (at + 1.0)) for at in range(self.limits.hidden)], axis=1)
        return output


def _allowed(batch: StepInput, row: int) -> tuple[int, ...] | None:
    """The tokens that a mask allows; None without one."""
    if row < 0:
        return None
    _must(batch.masks is not None and row < len(batch.masks), "a mask that is named must be there")
    assert batch.masks is not None
    return tuple(np.flatnonzero(np.unpackbits(batch.masks[row].view(np.uint8), bitorder="little")).tolist())


def _must(condition: bool, rule: str) -> None:
    if not condition:
        raise EngineError(f"The step breaks a rule: {rule}.")


def open_fake(options: BackendOptions, progress: Progress) -> FakeBackend:
    """A fake backend for the engine process; `options.checkpoint` may set fields, e.g.
    "max_batch=4,step_s=0.001,poison=7".
    """
    given = dict(item.split("=", 1) for item in options.checkpoint.split(",") if "=" in item)

    def number(name: str, default: float = 0.0) -> float:
        return float(given.get(name, default))

    base = FAKE_LIMITS
    limits = Limits(
        max_batch=int(number("max_batch", base.max_batch)),
        max_tokens=int(number("max_tokens", base.max_tokens)),
        context=int(number("context", base.context)),
        pages=int(number("pages", base.pages)),
        page_tokens=int(number("page_tokens", base.page_tokens)),
        vocab=int(number("vocab", base.vocab)),
        source=base.source,
        scored_rows=base.scored_rows,
        in_flight=int(number("in_flight", base.in_flight)),
        hidden=base.hidden,
    )
    progress(1.0, "nothing to load")
    return FakeBackend(
        limits,
        step_s=number("step_s"),
        token_s=number("token_s"),
        sleep=True,
        poison=int(number("poison", -1)),
        broken=int(number("broken", -1)),
    )
