"""Scheduler: which sequences run in the next step, on which pages, and when they end.

Four verbs: add, schedule, update, finish. Pure policy: holds no tensors and reads no clock; times come in as numbers.
Decoding sequences always go on, one token each; prompts share what is left of the step's token budget by `Turns`.
Pages are handed out as tokens arrive, never reserved for `max_tokens`; when they run out the youngest sequence gives
its pages back and is recomputed later, with the same tokens, because draws depend on seed and counter alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError, QueueFullError
from undiced.serve.delta import Delta, EngineStats
from undiced.serve.failure import GRAMMAR_FAILED
from undiced.serve.figures import Figures
from undiced.serve.pace import Pacer
from undiced.serve.pages import PagePool
from undiced.serve.plan import Plan
from undiced.serve.policy import Policy
from undiced.serve.request import check
from undiced.serve.roster import Roster
from undiced.serve.sequence import Sequence, State
from undiced.serve.turns import Turns

if TYPE_CHECKING:
    from undiced.engine.backend import Limits
    from undiced.serve.guide import Guidance
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
        self.roster = Roster(limits.max_batch, self.pool)
        self._prefix = self.roster.prefix
        self._pacer = Pacer(self.policy)
        self._held = 0  # sequences that are
        self._serial = 0
        self._latest_s = 0.0
        self._resting = False  # some sat out the step that was planned last
        self._odd = 0  # half a token that the eldest prompt is owed
        self._figures = Figures()

    @property
    def idle(self) -> bool:
        """Whether no sequence is alive."""
        return not self.roster.alive

    @property
    def stalled(self) -> bool:
        """Whether all that is alive waits for its readers."""
        return 0 < self._held == len(self.roster.alive) and not (self.roster.preempted or len(self.roster.waiting))

    @property
    def has_room(self) -> bool:
        """Whether `add` will find a place in the queue."""
        return len(self.roster.waiting) < self.policy.max_waiting

    # add

    def add(
        self, request: Request, now: float, arrival_s: float | None = None, guidance: Guidance | None = None
    ) -> None:
        """Queue a request; `arrival_s` is when it reached the server, if earlier than `now`; `guidance` stands at its
        beginning, and is there if the request has a guide.

        Raises:
            InvalidRequestError, ContextLengthError: it can never run; see `request.check`.
            QueueFullError: with an estimate of when a place will be free.
        """
        check(request, self.limits)
        if request.id in self.roster.alive:
            raise InvalidRequestError(f"A request with id {request.id!r} is already running.", remedy="Use an id once.")
        if not self.has_room:
            raise QueueFullError(
                f"The queue is full: {len(self.roster.waiting)} requests are waiting.",
                retry_after_s=self.retry_after_s(),
                remedy="Try again later.",
            )
        if not self.roster.alive:
            self._figures.begin(now)
        arrival_s = now if arrival_s is None else min(arrival_s, now)
        self._serial += 1
        self._latest_s = max(self._latest_s, arrival_s)
        sequence = Sequence(request, arrival_s, self._latest_s, self._serial, self.limits.page_tokens, guidance)
        self.roster.enter(sequence)

    def retry_after_s(self) -> float:
        """Seconds until the queue is likely to move."""
        return self._figures.retry_after_s([(one.made, one.max_tokens - one.made) for one in self.roster.running])

    def hold(self, request_id: str, *, held: bool) -> None:
        """Whether the reader of a sequence is so far behind that more tokens would be for nobody. No effect if it has
        ended.

        A held sequence rests, but only as long as nobody waits for its place: then it goes on to its end.
        """
        sequence = self.roster.alive.get(request_id)
        if sequence is not None:
            self._held += held - sequence.held
            sequence.held = held

    # schedule

    def schedule(self, now: float) -> Plan | None:
        """The next step, or None if there is nothing to compute until another one has been collected.

        Steps are submitted in the order of their plans, and `update` takes their outcomes in the same order.
        """
        plan = self._plan(now)
        if not plan.sequences and ((self._held and self.roster.short) or self._resting):
            plan = self._plan(now, rest=False)  # no page is left, so that held ones go on
        return plan if plan.sequences else None

    def _plan(self, now: float, *, rest: bool = True) -> Plan:
        plan = Plan()
        self._resting = False
        prompts = self._plan_decodes(plan, rest=rest)
        if prompts or ((len(self.roster.waiting) and self.roster.slots) or self.roster.preempted):
            self._plan_prompts(plan, prompts, now)
        if plan.sequences:
            plan.opened = self.roster.take_opened()
        return plan

    def _plan_decodes(self, plan: Plan, *, rest: bool) -> list[Sequence]:
        """Put in every sequence that has one token left, or a fair part of them if several steps may be in flight;
        returns those that have more. rest: those whose masks would take too long for the others may sit it out.

        Preemption shortens the list's far end as we go.
        """
        sequences, prompts, wants, free, guided = plan.sequences, [], False, False, False
        most = -(-len(self.roster.running) // self.limits.in_flight)
        share: float | None = None
        resting = self._held and not (len(self.roster.waiting) or self.roster.preempted or self.roster.short)
        for sequence in self.roster.running:
            left = len(sequence.tokens) - sequence.submitted
            if left != 1 or sequence.scoring:
                if left:
                    prompts.append(sequence)
                continue
            if len(sequences) == most or (resting and sequence.held):
                continue
            if rest and sequence.guidance is not None:
                share = self._pacer.mask_share(self.roster.running) if share is None else share
                if sequence.guidance.rests(share):
                    self._resting = True
                    continue
            if sequence.submitted == sequence.room:
                if not self.roster.grow(sequence):
                    continue  # it waits, pages in hand, until an older one ends
                plan.grown.append(sequence)
            sequence.submitted += 1
            sequence.flights += 1
            sequences.append(sequence)
            wants = wants or sequence.wants_logprobs
            if sequence.guidance is None:
                free = True
            else:
                guided = True
        plan.decodes = len(sequences)
        plan.counts = [1] * plan.decodes
        plan.sampled = sequences.copy()
        plan.wants_logprobs = wants
        plan.free, plan.guided = free, guided
        return prompts

    def _plan_prompts(self, plan: Plan, prompts: list[Sequence], now: float) -> None:
        budget = self.limits.max_tokens - plan.decodes
        budget = self._pacer.chunk(budget) if plan.decodes else self._pacer.turn(budget)
        for prompt in prompts:
            self._adopt(prompt)
        turns = Turns(prompts, self.roster.preempted, self.roster.waiting)
        eldest = self._start_eldest(turns, now)
        reserve = self._reserve(budget, eldest)
        while budget > 0:
            sequence = turns.take(eldest) if eldest and 0 < budget <= reserve else turns.next()
            if sequence is None:
                break
            if sequence is eldest:
                reserve = 0
            elif sequence.state is not State.RUNNING:
                if self.roster.weigh(sequence):
                    continue  # somebody else may be the smallest
                if not self._start(sequence, eldest, now):
                    turns.refuse(sequence)
                    continue
            budget -= self._plan_chunk(plan, sequence, budget - reserve)

    def _start_eldest(self, turns: Turns, now: float) -> Sequence | None:
        """The eldest prompt, running; None if there is none, or if it can't start."""
        eldest = turns.eldest()
        if eldest is None or eldest.state is State.RUNNING:
            return eldest
        self.roster.weigh(eldest)
        if self._start(eldest, eldest, now):
            turns.join(eldest)
            return eldest
        if now - eldest.order[0] > _PATIENCE_S:
            turns.close()
        return None

    def _start(self, sequence: Sequence, eldest: Sequence | None, now: float) -> bool:
        if started := self.roster.start(sequence, eldest, now):
            self._adopt(sequence)
        return started

    def _adopt(self, sequence: Sequence) -> None:
        """Take over what the prefix cache has, so that the size counts only what has to be computed."""
        saved = self._prefix.adopt(sequence)
        if not sequence.preemptions:
            sequence.cached += saved
            self._figures.cached_tokens += saved

    def _reserve(self, budget: int, eldest: Sequence | None) -> int:
        """The eldest's half of the budget; of an odd one the greater half every other time."""
        if eldest is None:
            return 0
        half, self._odd = divmod(budget + self._odd, 2)
        return min(half, eldest.left)

    def _plan_chunk(self, plan: Plan, sequence: Sequence, budget: int) -> int:
        """Put in the next tokens of a prompt; returns how many: none if a step in flight computes the same page."""
        if self._prefix.claimed(sequence):
            return 0
        count = min(budget, sequence.left)
        if plan.free and sequence.follows:
            count = 1  # tokens without a draw shall not make the others' steps longer than drawn ones would
        if sequence.scoring:
            count = min(count, sequence.within(self._score_room(plan)))
        while sequence.room < sequence.submitted + count and self.roster.grow(sequence):
            pass
        count = min(count, sequence.room - sequence.submitted)
        if count > 0:
            self._prefix.claim(plan, sequence, count)
            plan.add(sequence, count)
        return count

    def _score_room(self, plan: Plan) -> int:
        """Positions that a prompt may score in this step: a fair part of what is left."""
        most = self.limits.scored_rows
        fair = -(-most // max(1, sum(sequence.scoring for sequence in self.roster.running)))
        return min(most - plan.scored_rows, fair)

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
                failed = sequence.guidance is not None and sequence.guidance.failed
                deltas.append(self._fail_one(sequence, GRAMMAR_FAILED if failed else token, now))
                continue
            if index in plan.embeds:
                sequence.first_s = now
                deltas.append(self._end(sequence, "stop", now, Delta(sequence.id)))
                continue
            sequence.tokens.append(token)
            sequence.generated = generated = sequence.generated + 1
            delta = Delta(sequence.id, [token])
            deltas.append(delta)
            if sequence.wants_logprobs:
                _attach(delta, details[index])
            if sequence.first_s is None:
                sequence.first_s = now
            if sequence.guidance is not None:
                self._follow(sequence, sequence.guidance, delta, now)
            elif token in sequence.stops:
                delta.stop_token = token
                self._end(sequence, "stop", now, delta)
            elif generated >= sequence.max_tokens or len(sequence.tokens) >= context:
                self._end(sequence, "length", now, delta)
        self._pacer.observe(plan.decodes, plan.prompt_tokens, seconds)
        self._figures.step(plan.prompt_tokens, sum(len(delta.tokens) for delta in deltas), now, seconds, joules)
        return deltas

    def _follow(self, sequence: Sequence, guidance: Guidance, delta: Delta, now: float) -> None:
        """Go on by the token in a delta, and by those that have to follow it."""
        token = delta.tokens[0]
        if guidance.finished:  # it was complete before anything was drawn
            sequence.tokens.pop()
            sequence.generated -= 1
            delta.tokens, delta.logprobs, delta.top = sequence.untold, [], []
            delta.stop_token = guidance.stop
            self._end(sequence, "stop", now, delta)
            return
        delta.stop_token = token if token in sequence.stops else None
        given = (
            []
            if delta.stop_token is not None
            else sequence.give(guidance.take(token, sequence.max_tokens - sequence.generated))
        )
        delta.tokens = [*sequence.untold, *delta.tokens, *given]
        if sequence.wants_logprobs:
            delta.logprobs = [*[0.0] * len(sequence.untold), *delta.logprobs, *[0.0] * len(given)]
            delta.top = [*[[] for _ in sequence.untold], *delta.top, *[[] for _ in given]]
        sequence.untold = []
        if guidance.failed:
            self.pool.retract(sequence.pages[sequence.adopted :])
            delta.error = GRAMMAR_FAILED
            self._end(sequence, "error", now, delta)
            return
        if guidance.stop is not None:
            delta.stop_token = guidance.stop
        if delta.stop_token is not None or guidance.finished:
            self._end(sequence, "stop", now, delta)
        elif sequence.generated >= sequence.max_tokens or len(sequence.tokens) >= self.limits.context:
            self._end(sequence, "length", now, delta)

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
            if not self.roster.land(sequence):
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
        sequence = self.roster.alive.get(request_id)
        if sequence is None:
            return None
        sequence.generated = min(max(at_token, 0), sequence.generated)
        return self._end(sequence, reason, now, Delta(request_id))

    def cancel(self, request_id: str, now: float, reason: FinishReason = "cancelled") -> Delta | None:
        """End a sequence wherever it stands; all its tokens count.

        Returns the last delta, or None if it has ended already.
        """
        sequence = self.roster.alive.get(request_id)
        return None if sequence is None else self._end(sequence, reason, now, Delta(request_id))

    def fail(self, now: float) -> list[Delta]:
        """End every sequence with reason error: the backend is gone, and the steps in flight with it."""
        self.roster.abandon()
        return [self._end(sequence, "error", now, Delta(sequence.id)) for sequence in list(self.roster.alive.values())]

    def _end(self, sequence: Sequence, reason: FinishReason, now: float, delta: Delta) -> Delta:
        self._figures.end(sequence.made, sequence.state is State.RUNNING)
        self._held -= sequence.held
        self.roster.end(sequence)
        delta.finish_reason = reason
        delta.usage = sequence.usage(reason, now, self.limits.source)
        return delta

    def check(self) -> None:
        """Check that every page is where it should be; see `PagePool.check`."""
        self.roster.check()

    def stats(self, overhead_s: float = 0.0) -> EngineStats:
        """The figures so far; `overhead_s` is the loop's own."""
        figures = self._figures
        return EngineStats(
            running=len(self.roster.running),
            waiting=len(self.roster.waiting),
            preempted=len(self.roster.preempted),
            pages=self.pool.pages,
            pages_used=self.pool.held,
            pages_cached=self.pool.cached,
            tokens_per_second=figures.rate,
            steps=figures.steps,
            prompt_tokens=figures.prompt_tokens,
            cached_tokens=figures.cached_tokens,
            completion_tokens=figures.completion_tokens,
            preemptions=self.roster.preemptions,
            ended=figures.ended,
            step_s=figures.step_s,
            overhead_s=overhead_s,
            joules=figures.joules,
            source=self.limits.source,
        )


def _attach(delta: Delta, detail: tuple[float, list[tuple[int, float]]] | None) -> None:
    if detail is not None:
        delta.logprobs = [detail[0]]
        delta.top = [detail[1]]
