"""Guides: thoughts that end by themselves, by force or by order; forced tokens; how sequences end under a grammar."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake import FAKE_LIMITS, FakeBackend

from undiced.core.errors import InvalidRequestError
from undiced.serve import GREEDY, Delta, Request, Sampling
from undiced.serve.failure import GRAMMAR_FAILED
from undiced.serve.guide import Guide, Phase
from undiced.serve.loop import EngineLoop

START, END, THEN = (7,), (8, 9), (5,)


class Path:
    """A grammar of one path: at each place some tokens; where there is one, it is forced. A matcher of it."""

    def __init__(self, places: Sequence[set[int]]) -> None:
        self.places, self.at, self.filled = places, 0, 0
        self.cost_s = 0.0

    def fill(self, row: NDArray[np.int32]) -> bool:
        self.filled += 1
        bits = np.zeros(len(row) * 32, np.uint8)
        bits[list(self.places[self.at])] = 1
        row[:] = np.packbits(bits, bitorder="little").view(np.int32)
        return True

    def accept(self, tokens: list[int]) -> bool:
        for token in tokens:
            if self.finished or token not in self.places[self.at]:
                return False
            self.at += 1
        return True

    def forced(self) -> list[int]:
        found = []
        for place in self.places[self.at :]:
            if len(place) != 1:
                break
            found += place
        return found

    @property
    def finished(self) -> bool:
        return self.at == len(self.places)


class Paths:
    """Grammars whose text is a path: places by blanks, tokens of a place by bars."""

    def matcher(self, grammar: str) -> Path:
        return Path([{int(token) for token in place.split("|")} for place in grammar.split()])


def run(guide: Guide, backend: FakeBackend | None = None, **fields: object) -> tuple[list[int], Delta, EngineLoop]:
    """All tokens of a request, and its last delta."""
    loop = EngineLoop(backend or FakeBackend(), grammars=Paths())
    request = Request(
        **{"id": "a", "prompt": (1, 2, 3), "max_tokens": 20, "sampling": GREEDY, "guide": guide, **fields}
    )
    loop.add(request)
    deltas = []
    while not loop.idle:
        deltas += loop.step()
    loop.check()
    return [token for delta in deltas for token in delta.tokens], deltas[-1], loop


def test_forced_tokens_are_appended_without_a_draw() -> None:
    tokens, last, loop = run(Guide("11 12 20|21|22 13 14 15 30|31 16"))
    assert tokens[:2] == [11, 12] and tokens[3:6] == [13, 14, 15] and tokens[7:] == [16]
    assert tokens[2] in (20, 21, 22) and tokens[6] in (30, 31)
    assert last.finish_reason == "stop" and last.usage is not None and last.usage.completion_tokens == 8
    assert loop.stats().steps == 2, "two choices, two steps"


def test_tokens_under_a_mask_are_the_likeliest_of_those_it_allows_wherever_they_run() -> None:
    alone, _, _ = run(Guide("11 12 20|21|22 13 30|31 40|41|42 16"))
    loop = EngineLoop(FakeBackend(), grammars=Paths())
    for index in range(5):
        guide = Guide("11 12 20|21|22 13 30|31 40|41|42 16") if index == 2 else None
        loop.add(Request(f"{index}", (1, 2, 3) if guide else (index + 1,) * 40, 20, GREEDY, guide=guide))
    tokens: dict[str, list[int]] = {}
    while not loop.idle:
        for delta in loop.step():
            tokens.setdefault(delta.request_id, []).extend(delta.tokens)
    assert tokens["2"] == alone
    assert all(len(found) == 20 for name, found in tokens.items() if name != "2")


def dear(cost_s: dict[str, float], *, free: bool, most: int = 30) -> dict[str, list[int]]:
    """In which steps each of some sequences got a token; those of `cost_s` have masks that take so long."""
    path = " ".join(["20|21|22"] * most)
    loop = EngineLoop(FakeBackend(step_s=0.004), grammars=Paths())
    for name, seconds in cost_s.items():
        matcher = Path([{20, 21, 22}] * most)
        matcher.cost_s = seconds
        loop.add(Request(name, (1, 2, 3), most, GREEDY, guide=Guide(path)), matcher=matcher)
    if free:
        loop.add(Request("free", (1, 2, 3), most, GREEDY))
    got: dict[str, list[int]] = {}
    tokens: dict[str, list[int]] = {}
    step = 0
    while not loop.idle:
        for delta in loop.step():
            got.setdefault(delta.request_id, []).append(step)
            tokens.setdefault(delta.request_id, []).extend(delta.tokens)
        step += 1
    loop.check()
    alone = run(Guide(path), max_tokens=most)[0]
    assert all(found == alone for name, found in tokens.items() if name != "free")
    return got


def test_a_form_whose_masks_take_long_sits_out_steps_of_others_and_says_the_same() -> None:
    """A step of 4 ms leaves two forms 1 ms each: one of 5 ms takes part in every fifth."""
    got = dear({"dear": 0.005, "cheap": 0.0001}, free=True)
    assert got["free"] == got["cheap"] == list(range(30)), "nobody else sits out"
    shared = [step for step in got["dear"] if step < 30]
    assert 6 <= len(shared) <= 8 and all(4 <= later - sooner <= 5 for sooner, later in pairwise(shared[1:]))
    alone = [step for step in got["dear"] if step >= 30]
    assert alone == list(range(30, 30 + len(alone))), "where nobody waits it takes every step"


def test_forms_that_are_all_dear_share_their_steps() -> None:
    got = dear({"a": 0.005, "b": 0.004, "c": 0.006}, free=False)
    assert got["a"] == got["b"] == got["c"] == list(range(30))
    got = dear({"a": 0.005, "cheap": 0.0001}, free=False)
    assert got["cheap"] == list(range(30)) and len([step for step in got["a"] if step < 30]) < 9


def test_a_preempted_sequence_goes_on_where_it_stood() -> None:
    from msgspec.structs import replace

    path = " ".join(["11", "20|21|22|23", "12|13"] * 20)
    alone, _, _ = run(Guide(path), max_tokens=60)
    loop = EngineLoop(FakeBackend(replace(FAKE_LIMITS, pages=12)), grammars=Paths())
    for index in range(4):
        loop.add(Request(f"{index}", (1, 2, 3), 60, GREEDY, guide=Guide(path)))
    tokens: dict[str, list[int]] = {}
    while not loop.idle:
        for delta in loop.step():
            tokens.setdefault(delta.request_id, []).extend(delta.tokens)
    loop.check()
    assert loop.stats().preemptions > 0
    assert all(found == alone for found in tokens.values()) and len(alone) == 60


@pytest.mark.parametrize("most", range(1, 9))
def test_a_limit_cuts_forced_tokens_too_and_never_more_are_told(most: int) -> None:
    whole, _, _ = run(Guide("11 12 20|21 13 14 15 30|31 16"))
    tokens, last, _ = run(Guide("11 12 20|21 13 14 15 30|31 16"), max_tokens=most)
    assert tokens == whole[:most]
    assert last.finish_reason == ("stop" if most == 8 else "length")


def test_the_end_of_a_grammar_is_the_end_whatever_is_ignored_or_wanted() -> None:
    for fields in ({"ignore_eos": True}, {"sampling": Sampling(temperature=0, min_tokens=9)}):
        tokens, last, _ = run(Guide("11 20|21"), **fields)
        assert len(tokens) == 2 and last.finish_reason == "stop" and last.stop_token is None


def test_a_stop_token_that_the_grammar_allows_ends_the_answer() -> None:
    tokens, last, _ = run(Guide("11 12 20 21|22 30"), stop_token_ids=(21, 22))
    assert tokens[:3] == [11, 12, 20] and last.stop_token == tokens[3] and last.finish_reason == "stop"


def test_with_log_probabilities_every_token_is_drawn() -> None:
    loop = EngineLoop(FakeBackend(), grammars=Paths())
    loop.add(Request("a", (1,), 9, Sampling(temperature=0, logprobs=1), guide=Guide("11 12 20|21 13")))
    deltas = []
    while not loop.idle:
        deltas += loop.step()
    assert [len(delta.tokens) for delta in deltas] == [1] * 4 == [len(delta.logprobs) for delta in deltas]


def test_penalties_count_forced_tokens() -> None:
    backend = FakeBackend()
    run(Guide("11 12 20|21 13 14 30|31|32 16"), backend, sampling=Sampling(temperature=0, presence_penalty=1.0))
    assert backend._counted[-1] == 7 - 1 or max(backend._counted) == 7 - 1, "the last ones are of no use"
    run(Guide("11 12 20|21"), backend := FakeBackend())
    assert max(backend._counted) == 1, "without penalties nobody counts them"


def test_a_grammar_that_allows_nothing_or_fails_ends_its_sequence_alone() -> None:
    class Broken(Path):
        def accept(self, tokens: list[int]) -> bool:
            return self.at == 0 and super().accept(tokens)

    class Breaking:
        def matcher(self, grammar: str) -> Path:
            return Broken([{10, 11}, {12, 13}, {14, 15}])

    loop = EngineLoop(FakeBackend(), grammars=Breaking())
    loop.add(Request("bad", (1, 2), 9, GREEDY, guide=Guide("x")))
    loop.add(Request("good", (1, 2), 9, GREEDY))
    deltas = []
    while not loop.idle:
        deltas += loop.step()
    ends = {delta.request_id: delta for delta in deltas if delta.usage}
    assert ends["bad"].finish_reason == "error" and ends["bad"].error and ends["good"].finish_reason == "length"


def test_without_grammars_a_guide_with_one_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        EngineLoop(FakeBackend()).add(Request("a", (1,), 5, GREEDY, guide=Guide("11")))


def test_a_thought_ends_by_force_when_its_budget_is_used_up_and_then_the_grammar_holds() -> None:
    guide = Guide("20|21 22", thinking=True, think_end=END, then=THEN, budget=4)
    tokens, last, _ = run(guide)
    assert tokens[4:7] == [*END, *THEN] and tokens[7] in (20, 21) and tokens[8:] == [22]
    assert last.finish_reason == "stop"
    tokens, _, _ = run(Guide("20|21 22", thinking=True, think_end=END, then=THEN, budget=0))
    assert tokens[:3] == [*END, *THEN] and len(tokens) == 5


def test_no_stop_token_cuts_a_thought_short_of_its_document() -> None:
    free, _, _ = run(Guide(thinking=True, think_end=END, budget=12), max_tokens=12)
    stops = tuple(free[2:5])
    cut, last, _ = run(Guide(thinking=True, think_end=END), max_tokens=12, stop_token_ids=stops)
    assert last.stop_token in stops and len(cut) < 6, "without a grammar it may end"
    held, last, _ = run(Guide("20|21", thinking=True, think_end=END, budget=9), stop_token_ids=stops)
    assert len(held) == 12 and not set(held[:9]) & set(stops) and last.finish_reason == "stop"


def test_an_answer_may_open_with_a_thought_or_not() -> None:
    class Always(FakeBackend):
        """Draws a token whenever it is allowed."""

        wanted = START[0]

        def _sample(self, history, row, slot, allowed):  # type: ignore[no-untyped-def]
            wants = allowed is None or self.wanted in allowed
            return self.wanted if wants else super()._sample(history, row, slot, allowed)

    guide = Guide("20|21 22", think_start=START, think_end=END, budget=3)
    tokens, _, _ = run(guide, Always())
    assert tokens[:6] == [7, 7, 7, 7, *END] and tokens[7:] == [22]
    plain = Always()
    plain.wanted = 21
    assert run(guide, plain)[0] == [21, 22]


def test_a_thought_that_ends_itself_is_followed_by_what_must_follow() -> None:
    class Script(FakeBackend):
        def _sample(self, history, row, slot, allowed):  # type: ignore[no-untyped-def]
            wanted = [40, 8, 9, 50, 51, 52][int(row["counter"])]
            return wanted if wanted in allowed else allowed[0]

    sampling = Sampling(temperature=1.0, seed=1)
    tokens, _, _ = run(Guide("20|21 22", thinking=True, think_end=END, then=THEN), Script(), sampling=sampling)
    assert tokens == [40, 8, 9, 5, 20, 22]


def test_a_running_thought_ends_by_order() -> None:
    loop = EngineLoop(FakeBackend(), grammars=Paths())
    loop.add(Request("a", (1, 2), 30, GREEDY, guide=Guide(thinking=True, think_end=END)))
    tokens: list[int] = []
    for _ in range(6):
        tokens += [token for delta in loop.step() for token in delta.tokens]
    sequence = loop.scheduler.roster.alive["a"]
    assert sequence.guidance is not None and sequence.guidance.phase is Phase.THINKING
    assert loop.end_thought("a") and not loop.end_thought("b")
    before = len(tokens)
    while not loop.idle:
        tokens += [token for delta in loop.step() for token in delta.tokens]
    assert tokens[before + 1 : before + 3] == list(END) and len(tokens) == 30


def test_forced_tokens_do_not_lengthen_the_steps_of_others() -> None:
    path = "20|21 11 12 13 14 15 16 17 30|31 18"
    alone, _, loop = run(Guide(path))
    assert loop.stats().steps == 2, "the prompt's, and that of what follows the first draw"
    backend = FakeBackend()
    loop = EngineLoop(backend, grammars=Paths())
    loop.add(Request("free", (4, 5, 6), 30, GREEDY))
    loop.step()
    loop.add(Request("held", (1, 2, 3), 20, GREEDY, guide=Guide(path)))
    tokens: list[int] = []
    while not loop.idle:
        tokens += [token for delta in loop.step() if delta.request_id == "held" for token in delta.tokens]
        assert backend.steps[-1][1] <= 4, "a token each, but for the prompt of three"
    assert tokens == alone


@pytest.mark.parametrize("fields", [{}, {"ignore_eos": True, "eos_ids": (0,)}, {"max_tokens": 4}])
def test_what_has_no_choice_at_all_is_complete_without_a_draw(fields: dict) -> None:
    tokens, last, _ = run(Guide("11 12 13"), **fields)
    assert tokens == [11, 12, 13] and last.finish_reason == "stop"
    assert last.usage is not None and last.usage.completion_tokens == 3


def test_a_stop_token_among_forced_ones_ends_the_answer_as_a_drawn_one_would() -> None:
    for path in ("20|21 11 12 13 14", "11 12 13 20|21"):
        tokens, last, _ = run(Guide(path), stop_token_ids=(12,))
        assert tokens[-1] == 12 == last.stop_token and last.finish_reason == "stop"


def test_a_mask_that_fails_is_an_error_and_never_an_end() -> None:
    class Failing(Path):
        def fill(self, row: NDArray[np.int32]) -> bool:
            return self.at < 1 and super().fill(row)

    class Grammars:
        def matcher(self, grammar: str) -> Path:
            return Failing([{10, 11}, {12, 13}])

    loop = EngineLoop(FakeBackend(), grammars=Grammars())  # type: ignore[arg-type]
    loop.add(Request("a", (1, 2), 9, GREEDY, guide=Guide("x")))
    deltas = []
    while not loop.idle:
        deltas += loop.step()
    assert deltas[-1].finish_reason == "error" and deltas[-1].error == GRAMMAR_FAILED
