"""EngineLoop: a backend and a scheduler, step by step, with as many steps in flight as the backend can have.

`LLM` runs it in its own process, the server in the engine process. Knows arrays and the time, decides nothing. Not
thread-safe: one thread calls it.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from undiced.core.errors import EngineError, InvalidRequestError, UndicedError
from undiced.engine.backend import BUG
from undiced.serve.batch import StepBuffer, slot_state
from undiced.serve.clock import VirtualClock
from undiced.serve.guide import Guidance
from undiced.serve.scheduler import Details, Scheduler, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from undiced.engine.backend import Backend, StepOutput
    from undiced.serve.delta import Delta, EngineStats
    from undiced.serve.drafting import Drafting
    from undiced.serve.guide import Grammars, Guide, Matcher
    from undiced.serve.plan import Plan, Scored
    from undiced.serve.request import Request
    from undiced.serve.usage import FinishReason


class EngineLoop:
    """Runs requests to their end.

    Args:
        backend: what computes. The loop closes it.
        scheduler: made for `backend.limits`.
        grammars: what guides of requests are read by, if they come without matchers.
        clock: seconds; a `VirtualClock` is moved by the backend's own seconds, for backends that simulate.
        draft: of a draft model, which guesses for this one; the scheduler must be made for its limits too. The loop
            closes it.
    """

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler | None = None,
        *,
        grammars: Grammars | None = None,
        clock: Callable[[], float] = time.perf_counter,
        draft: Backend | None = None,
    ) -> None:
        self.backend = backend
        self.limits = backend.limits
        self.scheduler = scheduler or Scheduler(backend.limits, draft=None if draft is None else draft.limits)
        self._draft = draft
        readings = self.scheduler.readings
        self._drafting: Drafting | None = None
        if draft and readings:
            from undiced.serve.drafting import Drafting

            self._drafting = Drafting(draft, readings, self.limits.vocab)
            self.scheduler.observe_draft(self._drafting.tried())
        self.grammars = grammars
        self._clock = clock
        self._virtual = clock if isinstance(clock, VirtualClock) else None
        self._buffer = StepBuffer(backend.limits)
        self._flights: deque[tuple[Plan, int]] = deque()  # what is submitted, oldest first, with its ticket
        self._ended: list[Delta] = []
        self._overhead_s = 0.0

    @property
    def idle(self) -> bool:
        """Whether `step` has nothing to do and nothing to say."""
        quiet = self.scheduler.idle or self.scheduler.stalled
        return quiet and not self._ended and not self._flights

    def add(self, request: Request, arrival_s: float | None = None, matcher: Matcher | None = None) -> None:
        """Queue a request.

        Args:
            arrival_s: on this loop's clock, if it came earlier.
            matcher: of its grammar. Without one the loop's own grammars make it, which may take long.

        Raises what `Scheduler.add` raises, and what `Grammars.matcher` does.
        """
        guidance = None if request.guide is None else self._guidance(request, request.guide, matcher)
        self.scheduler.add(request, self._clock(), arrival_s, guidance)

    def _guidance(self, request: Request, guide: Guide, matcher: Matcher | None) -> Guidance:
        if guide.grammar and matcher is None:
            if self.grammars is None:
                raise InvalidRequestError("This engine has no vocabulary for grammars.", remedy="Leave them out.")
            matcher = self.grammars.matcher(guide.grammar)
        return Guidance(guide, matcher, request.stops, forcing=request.sampling.logprobs < 0)

    def end_thought(self, request_id: str) -> bool:
        """End the thought of a sequence with its next token; False if it has none, or has ended."""
        sequence = self.scheduler.roster.alive.get(request_id)
        return sequence is not None and sequence.guidance is not None and sequence.guidance.end_thought()

    def cancel(self, request_id: str) -> bool:
        """End a sequence; its last delta comes out of the next `step`. False if it has ended already."""
        return self._keep(self.scheduler.cancel(request_id, self._clock()))

    def finish(self, request_id: str, at_token: int, reason: FinishReason = "stop") -> bool:
        """End a sequence after `at_token` generated tokens; its last delta comes out of the next `step`.

        False if it has ended already.
        """
        return self._keep(self.scheduler.finish(request_id, at_token, reason, self._clock()))

    def hold(self, request_id: str, *, held: bool) -> None:
        """See `Scheduler.hold`."""
        self.scheduler.hold(request_id, held=held)

    def _keep(self, delta: Delta | None) -> bool:
        if delta is not None:
            self._ended.append(delta)
        return delta is not None

    def step(self) -> list[Delta]:
        """Submit what the backend can take, then collect one step; returns what it produced, and the ends that `cancel`
        and `finish` made.

        Empty when idle, and for steps that only read prompts.

        Raises:
            EngineError: the backend failed; `fail` then ends what was running.
        """
        started = self._clock()
        try:
            self._submit(started)
            if not self._flights:
                return self._rest()
            plan, ticket = self._flights[0]
            ready = self._clock()
            output = self.backend.collect(ticket)
        except UndicedError:
            raise
        except Exception as error:
            raise EngineError(f"The engine failed in a step: {type(error).__name__}: {error}") from error
        self._flights.popleft()
        if self._virtual is not None:
            self._virtual.advance(output.seconds)
        done = self._clock()
        tokens = output.tokens.tolist()
        scores = [_score(part, output, tokens) for part in plan.scored]
        if scores:
            tokens = [tokens[row] for row in plan.sampled_rows()]
        details = _details(plan, output) if plan.wants_logprobs else []
        deltas = self.scheduler.update(plan, tokens, details, done, output.seconds, output.joules, scores)
        if plan.embeds:
            _tell_hidden(plan, output, deltas)
        self._overhead_s += self._clock() - done + ready - started
        return self._take_ended() + deltas if self._ended else deltas

    def _submit(self, now: float) -> None:
        """Fill the backend with steps, as long as there are sequences that no step in flight holds up."""
        while len(self._flights) < self.limits.in_flight and (plan := self.scheduler.schedule(now)) is not None:
            if plan.guessing is not None and self._drafting is not None:
                drafted_s = self._drafting.run(plan)
                if self._virtual is not None:
                    self._virtual.advance(drafted_s)
            batch = self._buffer.fill(plan)
            for sequence in plan.opened:
                state = slot_state(sequence.request, self.limits.vocab, chained=self.limits.chained)
                self.backend.open_slot(sequence.slot, state)
            for slot, given in plan.given:
                self.backend.count_tokens(slot, given)
            self._flights.append((plan, self.backend.submit(batch)))

    def _rest(self) -> list[Delta]:
        if not (self.scheduler.idle or self.scheduler.stalled or self._ended):
            raise EngineError("The scheduler has sequences but nothing to compute.", remedy=BUG)
        return self._take_ended()

    def _take_ended(self) -> list[Delta]:
        ended, self._ended = self._ended, []
        return ended

    def fail(self) -> list[Delta]:
        """End all sequences with reason error, after `step` raised. Steps in flight are given up."""
        self._flights.clear()
        return self._take_ended() + self.scheduler.fail(self._clock())

    def run(self, requests: Iterable[Request]) -> Iterator[list[Delta]]:
        """Run requests to their end, yielding each step's deltas; `cancel` and `finish` may be called between them.

        More requests than the queue holds are fed in as it drains.
        """
        pending = iter(requests)
        following = next(pending, None)
        while following is not None or not self.idle:
            while following is not None and self.scheduler.has_room:
                self.add(following)
                following = next(pending, None)
            yield self.step()

    def stats(self) -> EngineStats:
        """The engine's figures."""
        return self.scheduler.stats(self._overhead_s)

    def check(self) -> None:
        """Check the scheduler's books; see `Scheduler.check`."""
        self.scheduler.check()

    def progress(self) -> int:
        """A count that moves while a step does; any thread may ask."""
        return self.backend.progress() + (0 if self._draft is None else self._draft.progress())

    def close(self) -> None:
        """Close the backends; idempotent."""
        self.backend.close()
        if self._draft is not None:
            self._draft.close()


def _tell_hidden(plan: Plan, output: StepOutput, deltas: list[Delta]) -> None:
    """Put hidden states into the last deltas of the sequences that asked for them."""
    ends = {delta.request_id: delta for delta in deltas if delta.usage is not None}
    rows = plan.sampled_rows() if plan.scored else range(len(plan.sampled))
    for at in plan.embeds:
        if output.hidden is not None and (delta := ends.get(plan.sampled[at].id)) is not None:
            delta.hidden = output.hidden[rows[at]].astype("<f4").tobytes()


def _details(plan: Plan, output: StepOutput) -> Details:
    """Log-probability and most likely tokens of each sampled row that asked for them."""
    details: Details = []
    rows = plan.sampled_rows() if plan.scored else range(len(plan.sampled))
    for row, sequence in zip(rows, plan.sampled, strict=True):
        count = sequence.request.sampling.logprobs
        details.append(_detail(output, row, count) if count >= 0 else None)
    return details


def _detail(output: StepOutput, row: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    ids, values = output.top_ids, output.top_logprobs
    return float(output.logprobs[row]), [(int(ids[row, at]), float(values[row, at])) for at in range(count)]


def _score(part: Scored, output: StepOutput, tokens: list[int]) -> Score:
    """What the rows of a scored prompt say."""
    found = [_detail(output, row, part.sequence.request.prompt_logprobs) for row in part.rows]
    reason = min(0, *(tokens[row] for row in part.rows))
    return Score([own for own, _ in found], [top for _, top in found], reason)
