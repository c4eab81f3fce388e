"""Planner: what the next step computes: which sequences take part, with how many tokens.

Decoding sequences always go on, one token each; prompts share what is left of the step's token budget by `Turns`.
Changes what a roster holds, and nothing else; reads no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.serve.plan import Plan
from undiced.serve.sequence import Sequence, State
from undiced.serve.turns import Turns

if TYPE_CHECKING:
    from undiced.engine.backend import Limits
    from undiced.serve.figures import Figures
    from undiced.serve.pace import Pacer
    from undiced.serve.roster import Roster
    from undiced.serve.speculation import Speculation

_PATIENCE_S = 10.0  # for so long the eldest may be overtaken while pages are short; then nobody starts before it
_PASSES = 8  # so many steps in a row may leave out the eldest of all, where it is not its account's turn


class Planner:
    """Makes plans; see the file's head.

    Args:
        roster: who is there.
        pacer: how many prompt tokens a step may have.
        figures: what prompts find in the prefix cache is counted there.
        speculation: how much is drafted.
    """

    def __init__(
        self, limits: Limits, roster: Roster, pacer: Pacer, figures: Figures, speculation: Speculation
    ) -> None:
        self._limits, self._roster, self._pacer, self._figures = limits, roster, pacer, figures
        self._speculation = speculation
        self._resting = False  # some sat out the step that was planned last
        self._odd = 0  # half a token that the eldest prompt is owed
        self._overdue: Sequence | None = None  # it was left out too often
        self._passed = 0  # steps in a row that left out the eldest of all

    def plan(self, now: float) -> Plan | None:
        """The next step, or None if there is nothing to compute until another one has been collected."""
        plan = self._plan(now)
        if not plan.sequences and ((self._roster.held and self._roster.short) or self._resting):
            plan = self._plan(now, rest=False)  # no page is left, so that held ones go on
        return plan if plan.sequences else None

    def _plan(self, now: float, *, rest: bool = True) -> Plan:
        plan, roster = Plan(), self._roster
        self._resting = False
        several = roster.shares.several
        if several and len(roster.waiting):
            for sequence in roster.make_way(now, self._overdue):
                self._adopt(sequence)
        prompts = self._plan_decodes(plan, roster.in_turn() if several else roster.running, rest=rest)
        if prompts or ((len(roster.waiting) and roster.slots) or roster.preempted):
            self._plan_prompts(plan, prompts, now)
        if plan.sequences:
            plan.opened = roster.take_opened()
            if not plan.prompt_tokens:
                self._plan_drafts(plan)
        return plan

    def _plan_drafts(self, plan: Plan) -> None:
        """Put in tokens that are guessed to come next, as many as pay, where there are pages for them."""
        choice = self._speculation.choose(plan.sequences)
        if choice is None:
            return
        room = self._limits.max_tokens - plan.decodes
        drafts: list[list[int]] = []
        counts: list[int] = []
        for sequence, count, modeled in zip(plan.sequences, choice.counts, choice.modeled, strict=True):
            counts.append(min(count, room, self._place(sequence, count)))
            draft = [] if modeled else sequence.draft(counts[-1])
            room -= counts[-1] if modeled else len(draft)
            drafts.append(draft)
        if any(choice.modeled):
            guessing = self._speculation.guessing(plan.sequences, choice, counts)
            if guessing.tasks:
                plan.drafts, plan.guessing = drafts, guessing
                return  # the draft model completes them
        if any(drafts):
            plan.draft(drafts)

    def _place(self, sequence: Sequence, wanted: int) -> int:
        """Positions behind a sequence's last token that it may write; another page if nobody misses it."""
        pool = self._roster.pool
        if sequence.room < sequence.submitted + wanted and pool.available > len(self._roster.running):
            self._roster.grow(sequence)
        return min(sequence.room - sequence.submitted, self._limits.context - sequence.submitted - 1)

    def _plan_decodes(self, plan: Plan, running: list[Sequence], *, rest: bool) -> list[Sequence]:
        """Put in every sequence that has one token left, or a fair part of them if several steps may be in flight;
        returns those that have more. rest: those whose masks would take too long for the others may sit it out.

        Who gives way stands at the far end, and is no longer running if it comes to that.
        """
        sequences, prompts, wants, free, guided = plan.sequences, [], False, False, False
        most = len(running) if self._limits.chained else -(-len(running) // self._limits.in_flight)
        share: float | None = None
        resting = self._roster.held and not (len(self._roster.waiting) or self._roster.preempted or self._roster.short)
        for sequence in running:
            if sequence.state is not State.RUNNING:
                continue
            left = len(sequence.tokens) - sequence.submitted
            if left != 1 or sequence.scoring:
                if left:
                    prompts.append(sequence)
                continue
            if len(sequences) == most or (resting and sequence.held):
                continue
            if rest and sequence.guidance is not None:
                share = self._pacer.mask_share(running) if share is None else share
                if sequence.guidance.rests(share):
                    self._resting = True
                    continue
            if sequence.submitted == sequence.room:
                if not self._roster.grow(sequence):
                    continue  # it waits, pages in hand, until an older one ends
                plan.grown.append(sequence)
            sequence.submitted += 1
            sequence.flights += 1
            sequences.append(sequence)
            if sequence.uncounted:
                plan.give(sequence)
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
        budget = self._limits.max_tokens - plan.decodes
        several = self._roster.shares.several
        for prompt in prompts:
            self._adopt(prompt)
        roster = self._roster
        modest = roster.shares.modest if roster.shares.several else None
        turns = Turns(prompts, roster.preempted, roster.waiting, modest, self._limits.max_tokens)
        first = turns.eldest()
        alone = len(prompts) + len(roster.preempted) + len(roster.waiting) == 1
        if plan.decodes:
            budget = self._pacer.chunk(budget, plan.decodes, several=several)
        else:
            budget = self._pacer.turn(budget, first.left if first is not None and alone else 0)
        eldest = self._start_eldest(turns, first if self._passed >= _PASSES else turns.favored(), now)
        reserve, ended = self._reserve(budget, eldest), False
        while budget > 0:
            if eldest is not None and eldest.state is not State.RUNNING:
                eldest, reserve = None, 0  # it gave its pages to another account
            sequence = turns.take(eldest) if eldest and 0 < budget <= reserve else turns.next()
            if sequence is None:
                break
            few = modest is not None and modest(sequence.share.account)
            if sequence is eldest:
                reserve = 0
            elif ended and not few:
                budget = reserve  # more would keep the first token of one with few sequences waiting
                continue
            elif sequence.state is not State.RUNNING:
                if self._roster.weigh(sequence):
                    continue  # somebody else may be the smallest
                if not self._start(sequence, eldest, now):
                    turns.refuse(sequence, full=not self._roster.slots)
                    continue
            budget -= self._plan_chunk(plan, sequence, budget - reserve)
            ended = ended or (few and not sequence.left)
        self._watch(plan, first)

    def _watch(self, plan: Plan, first: Sequence | None) -> None:
        """Remember for how many steps the eldest of all has been left out."""
        left_out = first is not None and first not in plan.sequences[plan.decodes :]
        self._passed = self._passed + 1 if left_out else 0
        self._overdue = first if self._passed >= _PASSES else None

    def _start_eldest(self, turns: Turns, eldest: Sequence | None, now: float) -> Sequence | None:
        """The eldest prompt, running; None if there is none, or if it can't start."""
        if eldest is None or eldest.state is State.RUNNING:
            return eldest
        self._roster.weigh(eldest)
        if self._start(eldest, eldest, now):
            turns.join(eldest)
            return eldest
        if now - eldest.order[0] > _PATIENCE_S:
            turns.close()
        return None

    def _start(self, sequence: Sequence, eldest: Sequence | None, now: float) -> bool:
        if started := self._roster.start(sequence, eldest, now):
            self._adopt(sequence)
        return started

    def _adopt(self, sequence: Sequence) -> None:
        """Take over what the prefix cache has, so that the size counts only what has to be computed."""
        saved = self._roster.prefix.adopt(sequence)
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
        if self._roster.prefix.claimed(sequence):
            return 0
        count = min(budget, sequence.left)
        if plan.free and sequence.follows:
            count = 1  # tokens without a draw shall not make the others' steps longer than drawn ones would
        if sequence.scoring:
            count = min(count, sequence.within(self._score_room(plan)))
        while sequence.room < sequence.submitted + count and self._roster.grow(sequence):
            pass
        count = min(count, sequence.room - sequence.submitted)
        if count > 0:
            self._roster.prefix.claim(plan, sequence, count)
            self._roster.charge(sequence, count)
            plan.add(sequence, count)
        return count

    def _score_room(self, plan: Plan) -> int:
        """Positions that a prompt may score in this step: a fair part of what is left."""
        most = self._limits.scored_rows
        fair = -(-most // max(1, sum(sequence.scoring for sequence in self._roster.running)))
        return min(most - plan.scored_rows, fair)
