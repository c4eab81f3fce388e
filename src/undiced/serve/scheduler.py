"""Scheduler: which sequences run in the next step, on which pages, and when they end.

Four verbs: add, schedule, update, finish. Pure policy: holds no tensors and reads no clock; times come in as numbers.
Decoding sequences always go on, one token each; prompts share what is left of the step's token budget by `Turns`.
Pages are handed out as tokens arrive, never reserved for `max_tokens`; when they run out the youngest sequence gives
its pages back and is recomputed later, with the same tokens, because draws depend on seed and counter alone.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError, QueueFullError
from undiced.serve.delta import Delta, EngineStats
from undiced.serve.figures import Figures
from undiced.serve.pace import Pacer
from undiced.serve.pages import NO_PAGE, PagePool
from undiced.serve.plan import Plan
from undiced.serve.policy import Policy
from undiced.serve.prefix import PrefixCache
from undiced.serve.queue import WaitingQueue
from undiced.serve.request import check
from undiced.serve.sequence import NO_SLOT, Sequence, State
from undiced.serve.turns import Turns

if TYPE_CHECKING:
    from undiced.engine.backend import Limits
    from undiced.serve.request import Request
    from undiced.serve.usage import FinishReason

_PATIENCE_S = 10.0  # for so long the eldest may be overtaken while pages are short; then nobody starts before it


@dataclass(frozen=True, slots=True)
class Score:
    """What became of the rows that score a prompt: per row a log-probability and the likeliest tokens; or, if it has
    none, why (a `NoToken`).
    """

    logprobs: list[float]
    top: list[list[tuple[int, float]]]
    reason: int = 0


Scores = Collection[Score]
Details = list[tuple[float, list[tuple[int, float]]] | None]


class Scheduler:
    """The state of all sequences of one backend."""

    def __init__(self, limits: Limits, policy: Policy | None = None) -> None:
        if limits.max_tokens < limits.max_batch:
            raise ValueError(f"a step of {limits.max_tokens} tokens cannot decode {limits.max_batch} sequences")
        self.limits = limits
        self.policy = policy or Policy()
        self.pool = PagePool(limits.pages, limits.page_tokens)
        self._prefix = PrefixCache(self.pool)
        self._pacer = Pacer(self.policy)
        self._alive: dict[str, Sequence] = {}
        self._waiting = WaitingQueue()
        self._running: list[Sequence] = []  # oldest first, like _preempted
        self._preempted: list[Sequence] = []
        self._slots = list(range(limits.max_batch - 1, -1, -1))
        self._opened: list[Sequence] = []  # have got a slot that the backend has not been told of
        self._leaving: list[Sequence] = []  # ended, but part of a step in flight
        self._held = 0  # sequences that are
        self._serial = 0
        self._latest_s = 0.0
        self._odd = 0  # half a token that the eldest prompt is owed
        self._figures = Figures()

    @property
    def idle(self) -> bool:
        """Whether no sequence is alive."""
        return not self._alive

    @property
    def stalled(self) -> bool:
        """Whether all that is alive waits for its readers."""
        return 0 < self._held == len(self._alive) and not (self._preempted or len(self._waiting))

    @property
    def has_room(self) -> bool:
        """Whether `add` will find a place in the queue."""
        return len(self._waiting) < self.policy.max_waiting

    # add

    def add(self, request: Request, now: float, arrival_s: float | None = None) -> None:
        """Queue a request; `arrival_s` is when it reached the server, if earlier than `now`.

        Raises:
            InvalidRequestError, ContextLengthError: it can never run; see `request.check`.
            QueueFullError: with an estimate of when a place will be free.
        """
        check(request, self.limits)
        if request.id in self._alive:
            raise InvalidRequestError(f"A request with id {request.id!r} is already running.", remedy="Use an id once.")
        if not self.has_room:
            raise QueueFullError(
                f"The queue is full: {len(self._waiting)} requests are waiting.",
                retry_after_s=self.retry_after_s(),
                remedy="Try again later.",
            )
        if not self._alive:
            self._figures.begin(now)
        arrival_s = now if arrival_s is None else min(arrival_s, now)
        self._serial += 1
        self._latest_s = max(self._latest_s, arrival_s)
        sequence = Sequence(request, arrival_s, self._latest_s, self._serial, self.limits.page_tokens)
        self._alive[request.id] = sequence
        self._wait(sequence)

    def _wait(self, sequence: Sequence) -> None:
        sequence.hoped = self._prefix.found(sequence)[0] * self.limits.page_tokens
        self._waiting.push(sequence)

    def retry_after_s(self) -> float:
        """Seconds until the queue is likely to move."""
        left = min((sequence.max_tokens - sequence.generated for sequence in self._running), default=0)
        return self._figures.retry_after_s(len(self._running), left)

    def hold(self, request_id: str, *, held: bool) -> None:
        """Whether the reader of a sequence is so far behind that more tokens would be for nobody. No effect if it has
        ended.

        A held sequence rests, but only as long as nobody waits for its place: then it goes on to its end.
        """
        sequence = self._alive.get(request_id)
        if sequence is not None:
            self._held += held - sequence.held
            sequence.held = held

    # schedule

    def schedule(self, now: float) -> Plan | None:
        """The next step, or None if there is nothing to compute until another one has been collected.

        Steps are submitted in the order of their plans, and `update` takes their outcomes in the same order.
        """
        plan = Plan()
        prompts = self._plan_decodes(plan)
        if prompts or ((len(self._waiting) and self._slots) or self._preempted):
            self._plan_prompts(plan, prompts, now)
        if not plan.sequences:
            return None
        plan.opened, self._opened = self._opened, []
        return plan

    def _plan_decodes(self, plan: Plan) -> list[Sequence]:
        """Put in every sequence that has one token left, or a fair part of them if several steps may be in flight;
        returns those that have more.

        Preemption shortens the list's far end as we go.
        """
        sequences, prompts, wants = plan.sequences, [], False
        most = -(-len(self._running) // self.limits.in_flight)
        resting = self._held and not (len(self._waiting) or self._preempted)
        for sequence in self._running:
            left = len(sequence.tokens) - sequence.submitted
            if left != 1 or sequence.scoring:
                if left:
                    prompts.append(sequence)
                continue
            if len(sequences) == most or (resting and sequence.held):
                continue
            if sequence.submitted == sequence.room:
                if not self._grow(sequence):
                    continue  # it waits, pages in hand, until an older one ends
                plan.grown.append(sequence)
            sequence.submitted += 1
            sequence.flights += 1
            sequences.append(sequence)
            wants = wants or sequence.wants_logprobs
        plan.decodes = len(sequences)
        plan.counts = [1] * plan.decodes
        plan.sampled = sequences.copy()
        plan.wants_logprobs = wants
        return prompts

    def _plan_prompts(self, plan: Plan, prompts: list[Sequence], now: float) -> None:
        budget = self.limits.max_tokens - plan.decodes
        budget = self._pacer.chunk(budget) if plan.decodes else self._pacer.turn(budget)
        turns = Turns(prompts, self._preempted, self._waiting)
        eldest = self._start_eldest(turns, now)
        reserve = self._reserve(budget, eldest)
        while budget > 0:
            sequence = turns.take(eldest) if eldest and 0 < budget <= reserve else turns.next()
            if sequence is None:
                break
            if sequence is eldest:
                reserve = 0
            elif sequence.state is not State.RUNNING and not self._start(sequence, eldest, now):
                turns.refuse(sequence)
                continue
            budget -= self._plan_chunk(plan, sequence, budget - reserve)

    def _start_eldest(self, turns: Turns, now: float) -> Sequence | None:
        """The eldest prompt, running; None if there is none, or if it can't start."""
        eldest = turns.eldest()
        if eldest is None or eldest.state is State.RUNNING:
            return eldest
        if self._start(eldest, eldest, now):
            turns.join(eldest)
            return eldest
        if now - eldest.order[0] > _PATIENCE_S:
            turns.close()
        return None

    def _reserve(self, budget: int, eldest: Sequence | None) -> int:
        """The eldest's half of the budget; of an odd one the greater half every other time."""
        if eldest is None:
            return 0
        half, self._odd = divmod(budget + self._odd, 2)
        return min(half, eldest.left)

    def _plan_chunk(self, plan: Plan, sequence: Sequence, budget: int) -> int:
        """Put in the next tokens of a prompt; returns how many: none if a step in flight computes the same page."""
        saved = self._prefix.adopt(sequence)
        if not sequence.preemptions:
            sequence.cached += saved
            self._figures.cached_tokens += saved
        if self._prefix.claimed(sequence):
            return 0
        count = min(budget, sequence.left)
        if sequence.scoring:
            count = min(count, sequence.within(self._score_room(plan)))
        while sequence.room < sequence.submitted + count and self._grow(sequence):
            pass
        count = min(count, sequence.room - sequence.submitted)
        if count > 0:
            self._prefix.claim(plan, sequence, count)
            plan.add(sequence, count)
        return count

    def _score_room(self, plan: Plan) -> int:
        """Positions that a prompt may score in this step: a fair part of what is left."""
        most = self.limits.scored_rows
        fair = -(-most // max(1, sum(sequence.scoring for sequence in self._running)))
        return min(most - plan.scored_rows, fair)

    def _grow(self, sequence: Sequence) -> bool:
        """One more page, if need be from the youngest sequence; False if that is this one or in flight."""
        while (page := self.pool.allocate()) == NO_PAGE:
            youngest = self._running[-1]
            if youngest is sequence or youngest.flights:
                return False
            self._preempt(youngest)
        sequence.pages.append(page)
        sequence.room += self.limits.page_tokens
        return True

    def _preempt(self, youngest: Sequence) -> None:
        self._running.pop()
        self._stop(youngest)
        youngest.state = State.PREEMPTED
        insort(self._preempted, youngest, key=_order)

    def _put_back(self, sequence: Sequence) -> None:
        """Back into the queue, with a prompt that has been read in part; its full pages stay in the cache for now."""
        self._running.remove(sequence)
        self._stop(sequence)
        if sequence in self._opened:
            self._opened.remove(sequence)
        self._slots.append(sequence.slot)
        sequence.slot = NO_SLOT
        sequence.state = State.WAITING
        self._wait(sequence)

    def _stop(self, sequence: Sequence) -> None:
        self.pool.release(sequence.pages)
        sequence.reset()
        sequence.preemptions += 1
        self._figures.preemptions += 1

    def _start(self, sequence: Sequence, eldest: Sequence | None, now: float) -> bool:
        """Start a sequence, new or preempted, if there is a slot, and pages for all its tokens."""
        if sequence.state is State.PREEMPTED:
            if not self._fits(sequence):
                return False
            self._preempted.remove(sequence)
        else:
            if not ((self._slots and self._fits(sequence)) or self._make_room(sequence, eldest)):
                return False
            self._waiting.remove(sequence)
            sequence.slot = self._slots.pop()
            sequence.hoped = 0
            sequence.admitted_s = now if sequence.admitted_s is None else sequence.admitted_s
            self._opened.append(sequence)
        sequence.state = State.RUNNING
        insort(self._running, sequence, key=_order)
        return True

    def _make_room(self, sequence: Sequence, eldest: Sequence | None) -> bool:
        """Put larger prompts under way back into the queue, the largest first, until the sequence has a slot and pages;
        not the eldest, and only if that helps.
        """
        larger = [
            other
            for other in self._running
            if not (other is eldest or other.flights or other.generated) and other.size > sequence.size
        ]
        gain = sum(len(other.pages) - other.adopted for other in larger)
        if not (self._slots or larger) or not self._fits(sequence, gain):
            return False
        larger.sort(key=lambda other: other.size)
        while larger and not (self._slots and self._fits(sequence)):
            self._put_back(larger.pop())
        return bool(self._slots) and self._fits(sequence)

    def _fits(self, sequence: Sequence, gain: int = 0) -> bool:
        """Whether free pages, and `gain` more, suffice for its tokens, for the prompts under way that are not larger,
        and for one more page of every running sequence. A preempted sequence leaves enough for larger ones too.
        """
        found, idle = self._prefix.found(sequence)
        promised, yields = 0, sequence.state is State.PREEMPTED
        for other in self._running:
            if yields or other.left < 2 or other.size < sequence.size:
                promised += max(self._pages(len(other.tokens)) - len(other.pages), 1)
        return self._pages(len(sequence.tokens)) - found + promised <= self.pool.available + gain - idle

    def _pages(self, tokens: int) -> int:
        return -(-tokens // self.limits.page_tokens)

    # update

    def update(
        self,
        plan: Plan,
        tokens: list[int],
        details: Details,
        now: float,
        seconds: float,
        joules: float,
        scores: Scores = (),
    ) -> list[Delta]:
        """Take in a step's outcome: a token for each of the plan's `sampled`, and what it cost.

        Args:
            plan: the oldest plan in flight.
            tokens: the sampled tokens.
            details: log-probability and most likely tokens of each, or None; empty if the plan wants none.
            scores: for each of the plan's `scored`, what became of its rows.
            now: the time after the step. seconds, joules: what the backend says it took.

        Returns:
            New tokens by sequence, with the account of those that ended.
        """
        self._settle(plan, joules / (plan.decodes + plan.prompt_tokens))
        context, deltas = self.limits.context, self._tell(plan, scores, now) if plan.prompt_tokens else []
        for index, sequence in enumerate(plan.sampled):
            if sequence.state is State.ENDED:
                continue
            token = tokens[index]
            if token < 0:
                deltas.append(self._fail_one(sequence, token, now))
                continue
            sequence.tokens.append(token)
            sequence.generated = generated = sequence.generated + 1
            delta = Delta(sequence.id, [token])
            deltas.append(delta)
            if sequence.wants_logprobs:
                _attach(delta, details[index])
            if sequence.first_s is None:
                sequence.first_s = now
            if token in sequence.stops:
                delta.stop_token = token
                self._end(sequence, "stop", now, delta)
            elif generated >= sequence.max_tokens or len(sequence.tokens) >= context:
                self._end(sequence, "length", now, delta)
        self._pacer.observe(plan.decodes, plan.prompt_tokens, seconds)
        self._figures.step(plan.prompt_tokens, sum(bool(delta.tokens) for delta in deltas), now, seconds, joules)
        return deltas

    def _tell(self, plan: Plan, scores: Scores, now: float) -> list[Delta]:
        """Scores of prompts, and the ends of those that want nothing more."""
        deltas = []
        for part, score in zip(plan.scored, scores, strict=True):
            if part.sequence.state is State.ENDED:
                continue
            if score.reason:
                deltas.append(self._fail_one(part.sequence, score.reason, now))
                continue
            part.sequence.told(part.positions)
            deltas.append(Delta(part.sequence.id, prompt_logprobs=score.logprobs, prompt_top=score.top))
        for sequence in plan.sequences[plan.decodes :]:
            done = not sequence.left and not sequence.flights
            if done and not sequence.max_tokens and sequence.state is State.RUNNING:
                deltas.append(self._end(sequence, "length", now, Delta(sequence.id)))
        return deltas

    def _fail_one(self, sequence: Sequence, reason: int, now: float) -> Delta:
        """End a sequence that got no token; what it computed is kept from others."""
        self.pool.retract(sequence.pages[sequence.adopted :])
        return self._end(sequence, "error", now, Delta(sequence.id, error=reason))

    def _settle(self, plan: Plan, share: float) -> None:
        """What the step computed is there, at `share` joules per token; who has ended meanwhile can leave."""
        self._prefix.settle(plan)
        for sequence, count in zip(plan.sequences, plan.counts, strict=True):
            sequence.flights -= 1
            if sequence.state is State.ENDED:
                if not sequence.flights:
                    self._leaving.remove(sequence)
                    self._release(sequence)
                continue
            sequence.computed += count
            sequence.joules += share * count
            if sequence.computed >= sequence.publish_at:
                self._prefix.publish(sequence)

    # finish

    def finish(self, request_id: str, at_token: int, reason: FinishReason, now: float) -> Delta | None:
        """End a sequence that the front end has judged: it counts as having stopped after `at_token` generated tokens.

        Returns the last delta, without tokens; None if the sequence has ended already.
        """
        sequence = self._alive.get(request_id)
        if sequence is None:
            return None
        sequence.generated = min(max(at_token, 0), sequence.generated)
        return self._end(sequence, reason, now, Delta(request_id))

    def cancel(self, request_id: str, now: float, reason: FinishReason = "cancelled") -> Delta | None:
        """End a sequence wherever it stands; all its tokens count.

        Returns the last delta, or None if it has ended already.
        """
        sequence = self._alive.get(request_id)
        return None if sequence is None else self._end(sequence, reason, now, Delta(request_id))

    def fail(self, now: float) -> list[Delta]:
        """End every sequence with reason error: the backend is gone, and the steps in flight with it."""
        for sequence in (*self._running, *self._leaving):
            sequence.flights = 0
        while self._leaving:
            self._release(self._leaving.pop())
        self._prefix.abandon()
        return [self._end(sequence, "error", now, Delta(sequence.id)) for sequence in list(self._alive.values())]

    def _end(self, sequence: Sequence, reason: FinishReason, now: float, delta: Delta) -> Delta:
        del self._alive[sequence.id]
        self._figures.end(now, sequence.state is State.RUNNING)
        self._held -= sequence.held
        if sequence.state is State.RUNNING:
            self._running.remove(sequence)
        elif sequence.state is State.PREEMPTED:
            self._preempted.remove(sequence)
        else:
            self._waiting.remove(sequence)
        if sequence in self._opened:
            self._opened.remove(sequence)
        if sequence.flights:
            self._leaving.append(sequence)
        else:
            self._release(sequence)
        sequence.state = State.ENDED
        delta.finish_reason = reason
        delta.usage = sequence.usage(reason, now, self.limits.source)
        return delta

    def check(self) -> None:
        """Check that every page is where it should be; see `PagePool.check`."""
        self.pool.check([sequence.pages for sequence in (*self._running, *self._leaving)])

    def _release(self, sequence: Sequence) -> None:
        """Give back the pages and the slot of a sequence that has ended."""
        self.pool.release(sequence.pages)
        if sequence.slot != NO_SLOT:
            self._slots.append(sequence.slot)

    def stats(self, overhead_s: float = 0.0) -> EngineStats:
        """The figures so far; `overhead_s` is the loop's own."""
        figures = self._figures
        return EngineStats(
            running=len(self._running),
            waiting=len(self._waiting),
            preempted=len(self._preempted),
            pages=self.pool.pages,
            pages_used=self.pool.held,
            pages_cached=self.pool.cached,
            tokens_per_s=figures.rate,
            steps=figures.steps,
            prompt_tokens=figures.prompt_tokens,
            cached_tokens=figures.cached_tokens,
            completion_tokens=figures.completion_tokens,
            preemptions=figures.preemptions,
            ended=figures.ended,
            step_s=figures.step_s,
            overhead_s=overhead_s,
            joules=figures.joules,
            source=self.limits.source,
        )


def _order(sequence: Sequence) -> tuple[float, int]:
    return sequence.order


def _attach(delta: Delta, detail: tuple[float, list[tuple[int, float]]] | None) -> None:
    if detail is not None:
        delta.logprobs = [detail[0]]
        delta.top = [detail[1]]
