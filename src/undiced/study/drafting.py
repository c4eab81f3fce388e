"""Drafting: a draft placed beside a target, on spare cores of its wafers or on wafers of its own, and what its guesses
are worth there. A lookup needs no cores: the host guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from undiced.core.errors import CompileError, InvalidRequestError
from undiced.machine.energy import energy_draws
from undiced.machine.interval import Interval
from undiced.program.wafer.rings import tokens_ahead
from undiced.program.wafer.step import Step
from undiced.sim.acceptance import Acceptance
from undiced.sim.clock import Timing, time_step
from undiced.sim.crossing import across_s, between_s, host_s
from undiced.sim.power.power import counts_of
from undiced.sim.prompt import multiply_adds
from undiced.sim.speculation import Guesses, Speculation, speculate
from undiced.study.question import Placed, Question, place
from undiced.study.spare_cores import Spare, part_of, spare_cores
from undiced.study.stated import LOOKUP, stated

if TYPE_CHECKING:
    from undiced.machine.wafer import Wafer
    from undiced.model import ModelConfig
    from undiced.program.wafer.program import WaferProgram

Progress = Callable[[float, str], None]
_TRIED = 3  # shapes of spare cores, the largest
_PADDED = 1024  # rows by which vocabularies of one tokenizer may be padded apart, ours


@dataclass(frozen=True, slots=True)
class Home:
    """Where guesses are made. `spare`: cores of the target's wafers; None: wafers of its own. No program: the host."""

    program: WaferProgram | None = None
    wafer: Wafer | None = None
    spare: Spare | None = None

    @property
    def wafers(self) -> int:
        """More than the target has."""
        return 0 if self.program is None or self.spare is not None else self.program.wafers

    @property
    def words(self) -> str:
        """For people."""
        if self.program is None:
            return "the host"
        if self.spare is not None:
            return f"spare cores of wafer {self.spare.wafer}, {self.spare.rect.width}x{self.spare.rect.height}"
        return "a wafer of its own" if self.wafers == 1 else f"{self.wafers} wafers of its own"

    def crossings_s(self, target: Placed, clock_hz: float) -> tuple[float, float]:
        """To the target's first region, and from its last one."""
        ends = target.program.regions[0].wafer, target.program.regions[-1].wafer
        if self.program is None:
            way = host_s(target.wafer, clock_hz)
            return way, way
        here = -1 if self.spare is None else self.spare.wafer
        to, back = ((across_s if end == here else between_s)(target.wafer, clock_hz) for end in ends)
        return to, back

    def guesses(self, target: Placed, context: int, clock_hz: float) -> Guesses:
        """What they take at a context."""
        turn_s = sum(self.crossings_s(target, clock_hz))
        if self.program is None or self.wafer is None:
            return Guesses(turn_s * clock_hz)
        timing = time_step(self.program, self.wafer, Step(1, 1, context), clock_hz)
        return Guesses.drafted(timing, turn_s, clock_hz)

    def held(self, target: Placed) -> int:
        """Wrong guesses that the caches of both can take back."""
        return min(tokens_ahead(each) for each in (target.program, self.program) if each is not None)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What is compared of a model. `count`: `of` what it has so many."""

    name: str
    vocab: int
    count: float
    of: str

    @classmethod
    def of_config(cls, name: str, config: ModelConfig) -> _Sizes:
        from undiced.model import build_config

        return cls(name, config.vocab, build_config(config).parameters, "parameters")

    @classmethod
    def of_program(cls, program: WaferProgram) -> _Sizes:
        return cls(program.model, program.vocab, multiply_adds(program, 1), "products a token")


def check_draft(asked: Question, target: ModelConfig) -> None:
    """A draft goes with its target, as far as sizes tell, and the acceptance is one.

    Raises:
        InvalidRequestError: it does not, with both numbers.
        UndicedError: an unknown model.
    """
    from undiced.study.subject import subject

    assert asked.draft is not None
    stated(asked.acceptance, target.name, asked.draft)
    if asked.draft != LOOKUP:
        _go_together(*(_Sizes.of_config(config.name, config) for config in (subject(asked.draft).config, target)))


def _go_together(draft: _Sizes, target: _Sizes) -> None:
    if abs(draft.vocab - target.vocab) > _PADDED:
        raise InvalidRequestError(
            f"{draft.name} knows {draft.vocab:,} tokens, and {target.name} {target.vocab:,}: ids differ in meaning.",
            remedy="Use a draft with the target's tokenizer.",
        )
    if draft.count > target.count:
        raise InvalidRequestError(
            f"The draft is larger than its target: {draft.name} has {draft.count:,.0f} {draft.of}, and {target.name} "
            f"{target.count:,.0f}.",
            remedy="Use a smaller one, or exchange them.",
        )


def homes(target: Placed, asked: Question, progress: Progress | None = None) -> list[Home]:
    """Where the draft fits: wafers of its own, and the largest spare cores of the target's wafers that hold it.

    Raises:
        UndicedError: an unknown model, one that fits no number of wafers, or one that does not go with a program.
    """
    assert asked.draft is not None
    if asked.draft == LOOKUP:
        return [Home()]
    if asked.draft not in target.drafts:
        told = progress or (lambda share, what: None)
        # beside a draft's guesses, as beside any, caches of windows keep more positions
        draft = Question(
            asked.draft, target.wafer, None, asked.positions, 1, asked.weights, asked.sum_bits, draft=LOOKUP
        )
        own = place(draft, lambda share, what: told(share / 2, what))
        if target.subject is None:  # a ready program: nothing was known of its sizes before
            _go_together(_Sizes.of_program(own.program), _Sizes.of_program(target.program))
        beside = _beside(target, draft, own, lambda share: told(0.5 + share / 2, "looking at spare cores"))
        target.drafts[asked.draft] = [Home(own.program, own.wafer), *beside]
    return target.drafts[asked.draft]


def _beside(target: Placed, draft: Question, own: Placed, told: Callable[[float], None]) -> list[Home]:
    """On the largest shape of spare cores that holds it, of its wafers the one nearest to the target's ends."""
    if target.program.individuals:
        return []  # which of them work was not looked at
    regions = own.program.places
    least = sum(visits[0].rect.cores for visits in regions) / 2  # memory is what they lack: far fewer can't do
    spares = [spare for spare in spare_cores(target.program, target.wafer) if spare.rect.cores >= least]
    shapes = list(dict.fromkeys((spare.rect.width, spare.rect.height) for spare in spares))
    ends = [target.program.regions[at].wafer for at in (0, -1)]
    for number, shape in enumerate(shapes[:_TRIED]):
        told(number / _TRIED)
        fitting = [spare for spare in spares if (spare.rect.width, spare.rect.height) == shape]
        spare = max(fitting, key=lambda each: ends.count(each.wafer))
        part = part_of(target.wafer, spare.rect)
        try:
            return [Home(place(replace(draft, machine=part, wafers=1)).program, part, spare)]
        except CompileError:
            continue
    return []


def speculation(target: Placed, asked: Question, token: Timing, progress: Progress | None = None) -> dict[str, object]:
    """What `undiced simulate` tells of guesses: where they are made the fastest, and what decides.

    Args:
        token: one decoded token of the target.

    Raises:
        UndicedError: an unknown draft, one that does not fit or does not go with the target, or a strange acceptance.
    """
    assert asked.draft is not None
    clock, said = token.clock_hz, stated(asked.acceptance, target.program.model, asked.draft)
    every = homes(target, asked, progress)

    def at(home: Home, acceptance: Acceptance) -> Speculation:
        guesses = home.guesses(target, asked.positions, clock)
        return speculate(token, guesses, acceptance, home.held(target))

    best = max(every, key=lambda home: (at(home, said.acceptance).tokens_per_second, -home.wafers))
    found = at(best, said.acceptance)
    to_target, to_draft = best.crossings_s(target, clock)
    return {
        "draft": asked.draft,
        "draft_on": best.words,
        "draft_wafers": best.wafers,
        "acceptance": said.words,
        "accepted_shares": list(said.acceptance.shares[: found.length]),
        "rounds_with_guesses": said.acceptance.made,
        "provenance": said.provenance,
        "crossing_to_target_s": to_target,
        "crossing_to_draft_s": to_draft,
        "drafted_tokens": found.length,
        "tokens_per_round": found.tokens,
        "cycles_per_round": found.cycles,
        "rows_per_token": found.rows / found.tokens,
        "tokens_per_second": found.tokens_per_second,
        "gain": found.tokens_per_second / token.tokens_per_second,
        **_priced(target, best, found, token, asked.positions),
        "homes": [
            {"on": home.words, "wafers": home.wafers, "tokens_per_second": at(home, said.acceptance).tokens_per_second}
            for home in every
        ],
        "by_work": [
            {"work": name, "tokens_per_second": at(best, each).tokens_per_second} for name, each in said.by_work
        ],
    }


def _priced(
    target: Placed, home: Home, found: Speculation, token: Timing, context: int
) -> dict[str, dict[str, dict[str, float]]]:
    """What tokens take, if energies are known that go with the machine's power."""
    with suppress(CompileError):
        return {"energy": energy(target, home, found, token, context)}
    return {}


def energy(target: Placed, home: Home, found: Speculation, token: Timing, context: int) -> dict[str, dict[str, float]]:
    """Joules of a token with guesses and without, at the wall and one user's, as intervals over what is assumed.

    A row in vain takes what any other takes; the draft computes its tokens whether they are right or not; what wafers
    take without work lasts as long as a round. The host's lookups and the crossings are not priced.
    """
    drawn = energy_draws(target.wafer)
    row = drawn.joules @ counts_of(target.program, target.wafer, context) / drawn.delivered
    drafted = 0.0 * row
    if home.program is not None and home.wafer is not None:
        counts = counts_of(home.program, home.wafer, context)
        drafted = drawn.joules @ counts / drawn.delivered * (found.drafted / found.tokens)
    idle = drawn.idle_w / drawn.delivered  # of each wafer
    wafers, vain = target.program.wafers, (found.rows / found.tokens - 1) * row
    waited = idle * (wafers + home.wafers) / found.tokens_per_second
    parts = {
        "token_j": row + vain + drafted + waited,
        "rows_in_vain_j": vain,
        "draft_j": drafted,
        "idle_j": waited,
        "token_j_without_guesses": row + idle * wafers / token.tokens_per_second,
    }
    return {name: Interval.of(joules).as_dict() for name, joules in parts.items()}
