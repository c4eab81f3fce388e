"""What is guessed in a step, and what that may cost: properties of the policy, which is a pure function."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from undiced.serve.choice import GAIN, Choice, Line, Offer, _filled, choose
from undiced.serve.purse import BEGIN, SHARE, Purse

SECONDS = st.floats(1e-5, 1e-2)


def falling(rates: list[float]) -> list[float]:
    """Chances that the first guesses, up to each, are all right."""
    found, chance = [], 1.0
    for rate in rates:
        chance *= rate
        found.append(chance)
    return found


RATES = st.lists(st.floats(0.05, 1.0), max_size=4).map(falling)
OFFERS = st.builds(Offer, RATES, RATES, st.floats(0, 1e-3))
LINES = st.tuples(SECONDS, SECONDS)
STEPS = st.lists(st.floats(0, 1e-2), min_size=20, max_size=20).map(
    lambda more: [1e-5 + sum(more[:n]) for n in range(20)]
)


def speed(offers: list[Offer], choice: Choice, target: list[float], draft: tuple[float, float]) -> float:
    """Tokens a second of a choice, from the definition: what it brings over what both models take."""
    tokens, draft_s, depth = float(len(offers)), 0.0, 0
    for offer, count, modeled in zip(offers, choice.counts, choice.modeled, strict=True):
        tokens += sum((offer.modeled if modeled else offer.looked_up)[:count])
        if modeled and count:
            draft_s += count * draft[1] + offer.reading_s
            depth = max(depth, count)
    rows = len(offers) + sum(choice.counts)
    return tokens / (target[rows] + depth * draft[0] + draft_s)


@settings(max_examples=200)
@given(st.lists(OFFERS, min_size=1, max_size=4), STEPS, LINES, st.integers(0, 12))
def test_a_choice_holds_its_promise_and_no_guesses_are_never_better(
    offers: list[Offer], target: list[float], draft: Line, spare: int
) -> None:
    """Whatever steps take, as long as more rows take no less."""
    choice = choose(offers, target.__getitem__, draft, spare)
    plain = speed(offers, Choice([0] * len(offers), [False] * len(offers), 0.0), target, draft)
    assert sum(choice.counts) <= spare
    for offer, count, modeled in zip(offers, choice.counts, choice.modeled, strict=True):
        assert 0 <= count <= len(offer.modeled if modeled else offer.looked_up)
    if any(choice.counts):
        assert choice.speed > GAIN * plain
        # what is promised counts every step of the draft model, those too whose guesses are left out of the step
        assert speed(offers, choice, target, draft) >= choice.speed * (1 - 1e-9)


@settings(max_examples=100)
@given(OFFERS, STEPS, LINES)
def test_for_one_sequence_no_other_choice_is_faster_by_more_than_the_margin(
    offer: Offer, target: list[float], draft: Line
) -> None:
    """Held against every choice there is. What is looked up costs no step, so a tie goes to it."""
    choice = choose([offer], target.__getitem__, draft, 8)
    own = speed([offer], choice, target, draft)
    best = max(
        speed([offer], Choice([count], [modeled], 0.0), target, draft)
        for modeled, source in ((False, offer.looked_up), (True, offer.modeled))
        for count in range(len(source) + 1)
    )
    assert best <= GAIN * own * (1 + 1e-9)


@settings(max_examples=100)
@given(RATES, STEPS, st.integers(0, 7))
def test_one_sequence_by_itself_has_the_choice_of_the_way_for_several(
    chances: list[float], target: list[float], spare: int
) -> None:
    """The short way for one against the way for all."""
    alone = choose([Offer(chances)], target.__getitem__, (0.0, 0.0), spare)
    general = _filled(
        [Offer(chances)], [False], 0, target.__getitem__, 0.0, spare, Choice([0], [False], GAIN * (1 / target[1]))
    )
    assert alone == general


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), max_size=300))
def test_guesses_cost_no_more_than_a_share_of_the_time(tries: list[tuple[float, float]]) -> None:
    """Whatever guesses cost and save, as long as one is made only with what is in the purse."""
    purse, elapsed, lost = Purse(), 0.0, 0.0
    for cost, saved in tries:
        purse.earn(1.0)
        elapsed += 1.0
        if purse.steps >= cost:
            purse.settle(cost, saved)
            lost += cost - saved
        assert purse.steps >= 0
    assert lost <= BEGIN + SHARE * elapsed + 1e-6


def test_more_likely_and_cheaper_guesses_are_never_fewer() -> None:
    counts = {}
    for chance, cost in product((0.2, 0.5, 0.8, 0.95), (1e-4, 5e-4, 2e-3)):
        offer = Offer([], falling([chance] * 7))
        counts[chance, cost] = sum(choose([offer], lambda rows: 4e-3 + 4e-4 * rows, (cost, 1e-5), 7).counts)
    for chance, other in ((0.2, 0.5), (0.5, 0.8), (0.8, 0.95)):
        assert all(counts[chance, cost] <= counts[other, cost] for cost in (1e-4, 5e-4, 2e-3))
    for cost, other in ((1e-4, 5e-4), (5e-4, 2e-3)):
        assert all(counts[chance, cost] >= counts[chance, other] for chance in (0.2, 0.5, 0.8, 0.95))
    assert counts[0.95, 1e-4] == 7 and counts[0.2, 2e-3] == 0
