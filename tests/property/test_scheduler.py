"""The scheduler over a backend whose tokens are hashes of what its KV pages hold.

Whatever is added, cancelled, finished and preempted: every sequence gets the tokens that it would get alone, ends
exactly once with one account, pages are conserved, and nobody but the eldest starts before a smaller one of its own
account. All of it holds for one account and for several, with several steps in flight, whether they are a pipeline's or
read what the one before draws, and nothing of a step in flight is given to others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from support.fake import Draw, FakeBackend, fake_logprob, fake_token

from undiced.engine.backend import Limits
from undiced.serve import Policy, Priority, Request, Sampling, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop
from undiced.serve.roster import Roster
from undiced.serve.sequence import Sequence, State

if TYPE_CHECKING:
    from undiced.serve import Delta, UsageEvent
    from undiced.serve.plan import Plan

VOCAB, CONTEXT = 40, 48
EOS = 7
BROKEN = 33  # no token can be drawn after it


def alone(request: Request, repeats: int) -> list[int]:
    """The tokens that a request gets when nothing else runs, nothing is drafted, and if it does not stop."""
    history, sampling = list(request.prompt), request.sampling
    for index in range(request.max_tokens):
        if BROKEN in history:
            break
        draw = Draw(
            seed=sampling.seed if sampling.temperature > 0 else 0,
            counter=index if sampling.temperature > 0 else 0,
            counted=index if sampling.presence_penalty else 0,
            allowed=sampling.allowed,
            forbidden=tuple(sorted(request.stops)) if index < sampling.min_tokens else (),
            repeats=repeats,
        )
        history.append(fake_token(np.array(history, np.int32), VOCAB, draw))
    return history[len(request.prompt) :]


def scores(request: Request) -> list[float]:
    """The log-probabilities of the prompt's tokens, from the second one on."""
    prompt = np.array(request.prompt, np.int32)
    return [fake_logprob(prompt[:at], request.prompt[at]) for at in range(1, len(prompt))]


prompts = st.builds(
    lambda shared, own: (*([1, 2, 3] * 12)[:shared], *own),
    st.integers(0, 16),
    st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=6),
)
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1.0]),
    presence_penalty=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 2**64 - 1),
    min_tokens=st.integers(0, 3),
    logprobs=st.sampled_from([-1, 0, 3]),
    allowed=st.sampled_from([(), (), (5, 12, 30)]),
)


class WatchedRoster(Roster):
    """Checks who starts, by the sizes of that moment: see `serve.turns`. Whoever is put back for it was larger too."""

    exempt: Sequence | None = None

    def may(self, sequence: Sequence) -> bool:
        """Whether it may start out of turn: as the eldest of all; with several accounts, of its account and class."""
        if not self.shares.several:
            return sequence is self.exempt
        alike = [one for one in self.alive.values() if one.share is sequence.share]
        return all(sequence.order <= one.order for one in alike if one.state is not State.RUNNING or one.reads)

    def start(self, sequence: Sequence, eldest: Sequence | None, now: float) -> bool:
        waited, size = sequence.state is State.WAITING, sequence.size
        found = len(self.prefix.found(sequence)) * sequence.page_tokens
        sizes = {other: other.size for other in self.alive.values()}
        if not super().start(sequence, eldest, now):
            assert all(other.size == size for other, size in sizes.items()), "somebody was put back for nobody"
            return False
        if waited and not self.may(sequence):
            assert size[1] == len(sequence.tokens) - found, "it started by a size that it no longer has"
            account = sequence.share.account
            behind = [other for other in sizes if other.state is State.WAITING and other.share.account is account]
            assert all(size[0] < other.request.priority or size < sizes[other] for other in behind), (
                "it started before a smaller one"
            )
        return True


class Watched(Scheduler):
    """Knows by itself who is the eldest, which alone may start out of turn."""

    def __init__(self, limits: Limits, policy: Policy) -> None:
        super().__init__(limits, policy)
        self.watched = self.roster = WatchedRoster(limits.max_batch, self.pool)
        self._planner._roster = self._ahead._roster = self.roster
        self._prefix = self.roster.prefix

    def schedule(self, now: float) -> Plan | None:
        prompts = [one for one in self.roster.alive.values() if one.state is State.WAITING or one.reads]
        self.watched.exempt = min(prompts, key=lambda one: one.order, default=None)
        return super().schedule(now)


class SchedulerMachine(RuleBasedStateMachine):
    """Any order of requests, steps, cancellations and stop strings found."""

    @initialize(
        pages=st.integers(12, 16),
        scored_rows=st.integers(1, 5),
        batch=st.integers(2, 5),
        stall_s=st.sampled_from([0.0, 1.0]),
        in_flight=st.sampled_from([-6, -3, -2, 1, 2, 3, 4]),  # of those below 0 one follows on the other
        callers=st.integers(1, 3),
        repeats=st.integers(0, 3),
    )
    def begin(
        self, pages: int, scored_rows: int, batch: int, stall_s: float, in_flight: int, callers: int, repeats: int
    ) -> None:
        self.callers, self.repeats = callers, repeats
        limits = Limits(
            max_batch=batch,
            max_tokens=max(batch, 10),
            context=CONTEXT,
            pages=pages,
            page_tokens=4,
            vocab=VOCAB,
            source="test",
            scored_rows=scored_rows,
            in_flight=abs(in_flight),
            chained=in_flight < 0,
            draft=4,
        )
        self.scheduler = Watched(limits, Policy(max_waiting=6, stall_s=stall_s, min_chunk=3, ahead_s=1e9))
        self.clock = VirtualClock()
        self.loop = self.engine(limits)
        self.requests: dict[str, Request] = {}
        self.expected: dict[str, list[int]] = {}
        self.scored: dict[str, list[float]] = {}
        self.scores: dict[str, list[float]] = {}
        self.tokens: dict[str, list[int]] = {}
        self.accounts: dict[str, UsageEvent] = {}
        self.finished_at: dict[str, int] = {}
        self.lost: set[str] = set()
        self.serial = 0

    def engine(self, limits: Limits) -> EngineLoop:
        backend = FakeBackend(limits, step_s=0.5, token_s=0.1, broken=BROKEN, repeats=self.repeats)
        return EngineLoop(backend, self.scheduler, clock=self.clock)

    @rule(
        prompt=prompts,
        wanted=st.integers(0, 25),
        scored=st.sampled_from([-1, -1, 0, 2]),
        sampling=samplings,
        priority=st.sampled_from(Priority),
        stops=st.booleans(),
        account=st.integers(0, 3),
        foretold=st.sampled_from([0, 0, 3, 30]),
    )
    def add(
        self,
        prompt: tuple[int, ...],
        wanted: int,
        sampling: Sampling,
        priority: Priority,
        stops: bool,
        scored: int = -1,
        account: int = 0,
        foretold: int = 0,
    ) -> None:
        if not self.scheduler.has_room:
            return
        self.serial += 1
        request = Request(
            f"r{self.serial}",
            prompt,
            wanted,
            sampling,
            eos_ids=(EOS,),
            stop_token_ids=(9, 11),
            ignore_eos=not stops,
            priority=priority,
            prompt_logprobs=scored,
            account=f"a{account % self.callers}",
        )
        answer = alone(request, self.repeats)
        request = replace(request, expected=tuple(answer[2:foretold]))
        self.loop.add(request)
        self.requests[request.id] = request
        self.expected[request.id] = answer
        self.scored[request.id] = scores(request)
        self.tokens[request.id] = []
        self.scores[request.id] = []

    @rule(prompts=st.lists(prompts, min_size=3, max_size=5), sampling=samplings, account=st.integers(0, 3))
    def burst(self, prompts: list[tuple[int, ...]], sampling: Sampling, account: int) -> None:
        """Several long answers at once, more than the pages hold."""
        for prompt in prompts:
            self.add(prompt, 25, sampling, Priority.NORMAL, False, account=account)
        self.steps(12)

    @rule()
    def step(self) -> None:
        alone = self.scheduler.limits.in_flight == 1
        running = {
            sequence: sequence.preemptions
            for sequence in self.scheduler.roster.running
            if alone and sequence.left == 1 and not (sequence.scoring or sequence.held)
        }
        pages_short = self.scheduler.pool.available < len(self.scheduler.roster.running)  # held ones may run on too
        deltas = self.loop.step()
        self.take(deltas)
        went_on = {delta.request_id for delta in deltas}
        for sequence, before in running.items():  # decoding goes on in every step, but where somebody has to give way
            gave_way = self.callers > 1 and sequence.preemptions > before
            assert sequence.id in went_on or pages_short or gave_way

    @rule(times=st.integers(2, 8))
    def steps(self, times: int) -> None:
        for _ in range(times):
            self.step()

    def alive(self) -> list[str]:
        return [name for name in self.requests if name not in self.accounts]

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.alive()))
        assert self.loop.cancel(name)
        assert not self.loop.cancel(name)
        self.take(self.loop._take_ended())
        assert self.accounts[name].finish_reason == "cancelled"

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.alive()))
        at = data.draw(st.integers(0, len(self.tokens[name])))
        self.finished_at[name] = at
        assert self.loop.finish(name, at)
        self.take(self.loop._take_ended())
        assert (self.accounts[name].finish_reason, self.accounts[name].completion_tokens) == ("stop", at)

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), held=st.booleans())
    def hold(self, data: st.DataObject, held: bool) -> None:
        """A reader falls behind, or has caught up."""
        self.loop.hold(data.draw(st.sampled_from(self.alive())), held=held)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def fail(self) -> None:
        """The backend is lost; another one goes on with what comes later."""
        self.lost.update(self.alive())
        self.take(self.loop.fail())
        assert self.loop.idle
        assert self.scheduler.pool.held == 0
        limits = self.scheduler.limits
        self.loop = self.engine(limits)
        self.scheduler.pool.clear()

    def take(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            name, request = delta.request_id, self.requests[delta.request_id]
            assert name not in self.accounts, "a sequence went on after its end"
            self.tokens[name] += delta.tokens
            self.scores[name] += delta.prompt_logprobs
            assert len(delta.prompt_top) == len(delta.prompt_logprobs)
            assert all(len(rivals) == request.prompt_logprobs for rivals in delta.prompt_top)
            asked = request.sampling.logprobs
            assert len(delta.logprobs) == (len(delta.tokens) if asked >= 0 else 0)
            assert all(len(rivals) == asked for rivals in delta.top)
            assert (delta.usage is None) == (delta.finish_reason is None)
            if delta.usage is not None:
                self.accounts[name] = delta.usage

    @invariant()
    def conserved(self) -> None:
        scheduler = self.scheduler
        scheduler.check()
        slots = [
            sequence.slot
            for sequence in scheduler.roster.running + scheduler.roster.preempted + scheduler.roster.leaving
        ]
        assert sorted(slots + scheduler.roster.slots) == list(range(scheduler.limits.max_batch))
        in_flight = {sequence for plan, _ in self.loop._flights for sequence in plan.sequences}
        for sequence in in_flight:
            flights = [plan for plan, _ in self.loop._flights if sequence in plan.sequences]
            assert sequence.flights == len(flights)
        assert {sequence for sequence in scheduler.roster.running if sequence.flights} <= in_flight
        assert set(scheduler.roster.leaving) <= in_flight
        assert all(not sequence.pages for sequence in scheduler.roster.preempted)
        seated = [sequence for sequence in scheduler.roster.alive.values() if sequence.slot >= 0]
        accounts = {sequence.share.account for sequence in scheduler.roster.alive.values()}
        assert len(accounts) == len({account.name for account in accounts})
        for account in accounts:
            assert account.slots == sum(sequence.share.account is account for sequence in seated)
        assert scheduler.roster.held == sum(sequence.held for sequence in scheduler.roster.alive.values())

    @invariant()
    def same_tokens_as_alone(self) -> None:
        for name, tokens in self.tokens.items():
            assert tokens == self.expected[name][: len(tokens)]
            assert self.scores[name] == self.scored[name][: len(self.scores[name])]

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for name in self.alive():
            self.loop.hold(name, held=False)
        work = sum(len(request.prompt) + request.max_tokens for request in self.requests.values())
        for _ in range(20 * work + 10):
            if self.loop.idle:
                break
            self.step()
            self.conserved()
        assert self.loop.idle, "some sequence never ended"
        self.same_tokens_as_alone()
        assert self.accounts.keys() == self.requests.keys()
        assert self.scheduler.pool.held == 0
        for name, account in self.accounts.items():
            self.check_account(self.requests[name], self.tokens[name], account)

    def check_account(self, request: Request, tokens: list[int], account: UsageEvent) -> None:
        assert account.prompt_tokens == len(request.prompt)
        assert 0 <= account.cached_tokens < account.prompt_tokens
        assert min(account.queue_s, account.prompt_s, account.completion_s) >= 0
        assert account.completion_tokens == self.finished_at.get(request.id, len(tokens))
        if account.finish_reason == "length" or tokens:
            assert self.scores[request.id] == (self.scored[request.id] if request.prompt_logprobs >= 0 else [])
        if request.id in self.lost:
            assert account.finish_reason == "error"
        elif account.finish_reason == "error":
            assert BROKEN in (*request.prompt, *tokens) and request.id not in self.finished_at
        elif account.finish_reason == "length":
            assert len(tokens) == request.max_tokens
        elif account.finish_reason == "stop" and request.id not in self.finished_at:
            assert tokens[-1] in request.stops
            assert len(tokens) > request.sampling.min_tokens
        ends = [index for index, token in enumerate(tokens) if token in request.stops]
        assert ends in ([], [len(tokens) - 1]), "generation went on after a stop token"


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
