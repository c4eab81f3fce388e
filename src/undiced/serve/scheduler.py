"""Scheduler: which sequences run in the next step, on which pages, and when they end.

Four verbs: add, schedule, update, finish. Pure policy: holds no tensors and reads no clock; times come in as numbers.
Decoding sequences always go on, one token each; prompts share what is left of the step's token budget by `Turns`.
Pages are handed out as tokens arrive, never reserved for `max_tokens`; when they run out the youngest sequence gives
its pages back and is recomputed later, with the same tokens, because draws depend on seed and counter alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

from msgspec import Struct

from undiced.core.errors import InvalidRequestError, QueueFullError
from undiced.engine.backend import NoToken
from undiced.serve.ahead import Ahead
from undiced.serve.delta import Delta, EngineStats
from undiced.serve.failure import GRAMMAR_FAILED
from undiced.serve.figures import Figures
from undiced.serve.pace import Pacer
from undiced.serve.pages import PagePool
from undiced.serve.planner import Planner
from undiced.serve.policy import Policy
from undiced.serve.request import check
from undiced.serve.roster import Roster
from undiced.serve.sequence import Sequence, Source, State
from undiced.serve.shares import OUTPUT_WEIGHT, has_place
from undiced.serve.speculation import Speculation

if TYPE_CHECKING:
    from undiced.engine.backend import Limits
    from undiced.serve.guide import Guidance
    from undiced.serve.plan import Plan
    from undiced.serve.reading import Readings
    from undiced.serve.request import Request
    from undiced.serve.usage import FinishReason


class Score(Struct, frozen=True):
    """What became of the rows that score a prompt: per row a log-probability and the likeliest tokens; or, if it has
    none, why (a `NoToken`).
    """

    logprobs: list[float]
    top: list[list[tuple[int, float]]]
    reason: int = 0


_NOT_REACHED = int(NoToken.NOT_REACHED)
Scores = Collection[Score]
Details = list[tuple[float, list[tuple[int, float]]] | None]


class Scheduler:
    """The state of all sequences of one backend.

    Args:
        draft: what a draft model can hold, if there is one; see `drafting.check_pair`.
    """

    def __init__(self, limits: Limits, policy: Policy | None = None, draft: Limits | None = None) -> None:
        if limits.max_tokens < limits.max_batch:
            raise ValueError(f"a step of {limits.max_tokens} tokens cannot decode {limits.max_batch} sequences")
        self.limits = limits
        self.policy = policy or Policy()
        self.pool = PagePool(limits.pages, limits.page_tokens)
        self.roster = Roster(limits.max_batch, self.pool)
        self._prefix = self.roster.prefix
        self._pacer = Pacer(self.policy, limits.prompt_multiple)
        self._serial = 0
        self._latest_s = 0.0
        self._figures = Figures()
        most = limits.draft if self.policy.speculate else 0
        self._speculation = Speculation(most, limits.scored_rows, draft, self.policy.stall_s)
        self._planner = Planner(limits, self.roster, self._pacer, self._figures, self._speculation)
        self._ahead = Ahead(limits, self.roster, self._pacer, self._speculation)
        self._planned: deque[Plan] = deque()  # in flight

    @property
    def idle(self) -> bool:
        """Whether no sequence is alive."""
        return not self.roster.alive

    @property
    def stalled(self) -> bool:
        """Whether all that is alive waits for its readers."""
        return 0 < self.roster.held == len(self.roster.alive) and not (
            self.roster.preempted or len(self.roster.waiting)
        )

    @property
    def has_room(self) -> bool:
        """Whether `add` will find a place in the queue, whoever asks."""
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
        self._check_room(request.account)
        if not self.roster.alive:
            self._figures.begin(now)
        arrival_s = now if arrival_s is None else min(arrival_s, now)
        self._serial += 1
        self._latest_s = max(self._latest_s, arrival_s)
        share = self.roster.share(request)
        sequence = Sequence(request, arrival_s, self._latest_s, self._serial, self.limits.page_tokens, share, guidance)
        self.roster.enter(sequence)

    def _check_room(self, account: str) -> None:
        """Refuse what the queue has no place for."""
        counts = self.roster.waiting.counts
        waiting, own = len(self.roster.waiting), counts.get(account, 0)
        most = self.policy.max_waiting
        accounts = len(counts) + (not own)
        if has_place(waiting, own, accounts, most):
            return
        message = f"The queue is full: {waiting} requests are waiting."
        if accounts > 1:
            message = f"The queue is full: {waiting} requests are waiting, {own} of them yours."
        retry_after_s = self.retry_after_s(max(waiting - most, 0) + 1)
        raise QueueFullError(message, retry_after_s=retry_after_s, remedy="Try again later.")

    def retry_after_s(self, places: int = 1) -> float:
        """Seconds until the queue is likely to have moved by so many places."""
        running = [(one.made, one.max_tokens - one.made) for one in self.roster.running]
        return self._figures.retry_after_s(running, places)

    def hold(self, request_id: str, *, held: bool) -> None:
        """Whether the reader of a sequence is so far behind that more tokens would be for nobody. No effect if it has
        ended.

        A held sequence rests, but only as long as nobody waits for its place: then it goes on to its end.
        """
        sequence = self.roster.alive.get(request_id)
        if sequence is not None:
            self.roster.hold(sequence, held=held)

    def observe_draft(self, steps: list[tuple[int, float]]) -> None:
        """What steps of the draft model take: (tokens, seconds) of each. Wanted before the first plan."""
        for tokens, seconds in steps:
            self._speculation.observe_draft(tokens, seconds)

    @property
    def readings(self) -> Readings | None:
        """How far a draft model has read the sequences; None without one."""
        return self._speculation.readings

    # schedule

    def schedule(self, now: float) -> Plan | None:
        """The next step, or None if there is nothing to compute until another one has been collected.

        Steps are submitted in the order of their plans, and `update` takes their outcomes in the same order.
        """
        chained = self.limits.chained and self._planned
        plan = self._ahead.plan(self._planned) if chained else self._planner.plan(now)
        if plan is not None:
            self._planned.append(plan)
        return plan

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
        self._planned.popleft()
        guessing = plan.guessing
        if guessing is not None:
            joules, accepted = joules + guessing.joules, self._figures.modeled_accepted
        self._settle(plan, joules / plan.tokens)
        deltas = self._tell(plan, scores, now) if plan.prompt_tokens else []
        self._draw(plan, tokens, details, now, deltas)
        computed = not (tokens and tokens[0] == _NOT_REACHED)  # else it was left out, behind the ends of all
        if computed and not plan.prompt_tokens:
            self._speculation.observe(len(plan.sampled), seconds)
        if guessing is not None:
            self._speculation.learn(guessing, plan.decodes, self._figures.modeled_accepted - accepted)
            self._figures.draft_s += guessing.seconds
            seconds += guessing.seconds
        self._speculation.earn(seconds)
        if computed and not plan.drafts:
            self._pacer.observe(plan.decodes, plan.prompt_tokens, seconds)
        self._figures.step(plan.prompt_tokens, sum(len(delta.tokens) for delta in deltas), now, seconds, joules)
        return deltas

    def _draw(self, plan: Plan, tokens: list[int], details: Details, now: float, deltas: list[Delta]) -> None:
        """Take in sampled tokens, and end the sequences that they end; adds what is to be told to `deltas`."""
        before: Sequence | None = None
        context = self.limits.context
        for index, sequence in enumerate(plan.sampled):
            if sequence.state is State.ENDED:
                continue
            token = tokens[index]
            if token == _NOT_REACHED:
                continue
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
            sequence.share.served += OUTPUT_WEIGHT
            if sequence is before:  # what was drafted has been drawn
                delta = deltas[-1]
                delta.tokens.append(token)
                self._take(sequence)
            else:
                before = sequence
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

    def _take(self, sequence: Sequence) -> None:
        """The next token of a sequence's draft counts."""
        sequence.take()
        self._figures.accepted_tokens += 1
        self._figures.modeled_accepted += sequence.source is Source.MODEL
        if sequence.computed >= sequence.publish_at:
            self._prefix.publish(sequence)

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
        sequence.share.served += OUTPUT_WEIGHT * (len(delta.tokens) - 1)
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
        for sequence, draft in zip(plan.sequences, plan.drafts, strict=False):
            sequence.joules += share * len(draft)
            self._figures.drafted_tokens += len(draft)
            self._figures.modeled_tokens += len(draft) if sequence.source is Source.MODEL else 0
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
        self._planned.clear()
        self.roster.abandon()
        return [self._end(sequence, "error", now, Delta(sequence.id)) for sequence in list(self.roster.alive.values())]

    def _end(self, sequence: Sequence, reason: FinishReason, now: float, delta: Delta) -> Delta:
        self._figures.end(sequence.made, sequence.state is State.RUNNING)
        self.roster.end(sequence)
        delta.finish_reason = reason
        delta.usage = sequence.usage(reason, now, self.limits.source)
        return delta

    def check(self) -> None:
        """Check that every page is where it should be; see `PagePool.check`."""
        self.roster.check()

    def stats(self, overhead_s: float = 0.0) -> EngineStats:
        """The figures so far; `overhead_s` is the loop's own."""
        return self._figures.stats(self.roster, overhead_s, self.limits.source)


def _attach(delta: Delta, detail: tuple[float, list[tuple[int, float]]] | None) -> None:
    if detail is not None:
        delta.logprobs = [*delta.logprobs, detail[0]]
        delta.top = [*delta.top, detail[1]]
