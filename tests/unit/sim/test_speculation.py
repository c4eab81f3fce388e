"""Speculation: closed forms of rounds against an obvious twin, limits that hold whatever the parameters; the floor."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.claim_bench import timing
from support.mesh_configs import DENSE, LATENT, MIXED
from support.rounds import Pair

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.model import build_config
from undiced.program import Bounds
from undiced.program.wafer.step import Step
from undiced.sim.acceptance import COUNTED, LENGTH_MAX, Acceptance
from undiced.sim.clock import time_floor, time_step
from undiced.sim.crossing import across_s, between_s, host_s
from undiced.sim.outlook import first_token_cycles
from undiced.sim.speculation import Guesses, rounds, speculate

TOY = find_machine("toy-12x12")
PLACES = st.lists(st.integers(1, 400), min_size=1, max_size=6)


def target_of(places):
    return timing(sum(places), max(places))


def guesses_of(places, way):
    return Guesses(2 * way, sum(places), max(places)) if places else Guesses(2 * way)


@settings(max_examples=60, deadline=None)
@given(PLACES, st.one_of(st.just([]), PLACES), st.integers(0, 500), st.integers(1, LENGTH_MAX), st.data())
def test_rounds_take_what_tokens_take_that_pass_the_places_one_by_one(target, draft, way, length, data):
    guesses, pair = guesses_of(draft, way), Pair(target, draft, way)
    in_time = len(rounds(target_of(target), guesses, length)) - 1
    if in_time < length:  # the next comes when the row that it would follow is done
        late = 2 * way + (in_time + 1) * guesses.each_cycles
        assert late >= pair.known(in_time, in_time)
    each = rounds(target_of(target), guesses, in_time)
    for right in data.draw(st.lists(st.integers(0, in_time), min_size=1, max_size=5)):
        found = pair.round(right, in_time)
        assert found == (each[right].cycles, each[right].rows, each[right].drafted), (right, in_time)


@settings(max_examples=10, deadline=None)
@given(PLACES, PLACES, st.integers(0, 100), st.floats(0, 0.95), st.integers(0, 99))
def test_what_is_expected_is_the_mean_of_many_rounds(target, draft, way, share, seed):
    found = speculate(target_of(target), guesses_of(draft, way), Acceptance.assumed(share))
    pair, draw, tokens, cycles, rows, drafted = Pair(target, draft, way), random.Random(seed), 0, 0.0, 0, 0
    count = 800
    for _ in range(count):
        right = 0
        while right < found.length and draw.random() < share:
            right += 1
        taken, entered, computed = pair.round(right, found.length)
        tokens, cycles, rows, drafted = tokens + right + 1, cycles + taken, rows + entered, drafted + computed
    assert cycles / tokens == pytest.approx(found.cycles / found.tokens, rel=0.1)
    assert tokens / count == pytest.approx(found.tokens, rel=0.12)
    assert rows / count == pytest.approx(found.rows, rel=0.12)
    assert drafted / count == pytest.approx(found.drafted, rel=0.12)


@settings(max_examples=60, deadline=None)
@given(PLACES, PLACES, st.integers(0, 500))
def test_limits(places, draft, way):
    target, guesses = target_of(places), guesses_of(draft, way)
    never, always = (speculate(target, guesses, Acceptance.assumed(share)) for share in (0, 1))
    assert never.length == 0 and never.tokens_per_second == target.tokens_per_second
    assert always.tokens == always.length + 1 and always.tokens_per_second >= never.tokens_per_second
    instant = speculate(target, Guesses(0.0), Acceptance.assumed(1))  # rows as close as the slowest place lets them be
    dense = (LENGTH_MAX + 1) / (sum(places) + LENGTH_MAX * max(places))
    assert instant.tokens / instant.cycles == pytest.approx(dense)
    assert always.tokens_per_second <= instant.tokens_per_second * (1 + 1e-9)
    at_once = Guesses(guesses.turn_cycles)
    speeds = [speculate(target, at_once, Acceptance.assumed(n / 10)).tokens_per_second for n in range(11)]
    assert all(b >= a * (1 - 1e-9) for a, b in pairwise(speeds))


@settings(max_examples=60, deadline=None)
@given(PLACES, PLACES, st.integers(0, 400), st.floats(0.05, 1))
def test_a_nearer_draft_is_no_worse(places, draft, way, share):
    """With one guess; more of them may come just in time to be in the way of the next round."""
    target, acceptance = target_of(places), Acceptance.assumed(share)
    far, near = (speculate(target, guesses_of(draft, each), acceptance, held=1) for each in (way, way // 2))
    assert near.tokens_per_second >= far.tokens_per_second * (1 - 1e-9)


def test_without_guesses_a_round_is_a_token_and_no_guess_is_made_where_nothing_was_counted():
    target = target_of([100, 50])
    seldom, always = (speculate(target, Guesses(10.0), Acceptance((0.9,), made)) for made in (0.25, 1.0))
    assert seldom.length == always.length == 1 and always.tokens == 1.9
    assert seldom.tokens == pytest.approx(0.25 * 1.9 + 0.75)
    assert seldom.cycles == pytest.approx(0.25 * always.cycles + 0.75 * 150)
    assert speculate(target, Guesses(10.0), Acceptance.assumed(0.9), held=2).length == 2


def test_counts_are_shares_by_place_as_far_as_there_are_enough():
    found = Acceptance.counted([100, 60, 30, COUNTED - 1], [60, 30, 27, 0], 200)
    assert found == Acceptance((0.6, 0.5, 0.9), 0.5)
    assert found.chances(3) == pytest.approx([0.4, 0.3, 0.03, 0.27]) and sum(found.chances(2)) == pytest.approx(1)
    with pytest.raises(CompileError, match="say too little"):
        Acceptance.counted([COUNTED - 1], [3], 400)


@pytest.mark.parametrize("share", [-0.1, 1.1, 7.0, float("nan")])
def test_acceptance_is_a_probability(share):
    with pytest.raises(CompileError, match="no probability"):
        Acceptance.assumed(share)


def test_a_guess_from_another_wafer_has_the_longest_way():
    wafer = find_machine("wse3")
    assert 0 < across_s(wafer, 1.1e9) < host_s(wafer, 1.1e9) < between_s(wafer, 1.1e9)
    assert between_s(wafer, 1.1e9) == pytest.approx(5e-6 + 2 * (755 + 1170) / 1.1e9)


@pytest.mark.parametrize("config", [DENSE, MIXED, LATENT], ids=["dense", "mixed", "latent"])
def test_nothing_is_faster_than_its_floor(config):
    program = compile_graph(build_config(config), TOY, Options(bounds=Bounds(1, 64), region=(6, 6)))
    assert 0 < time_floor(program, TOY).token_cycles < time_step(program, TOY).token_cycles
    step = Step(1, 1, 1)
    assert time_step(program, TOY, step).token_cycles < time_step(program, TOY).token_cycles


def test_a_longer_prompt_takes_longer_but_less_than_its_positions_apart():
    program = compile_graph(build_config(DENSE), TOY, Options(bounds=Bounds(1, 64), region=(6, 6)))
    short, long = (first_token_cycles(program, TOY, n, 1e9) for n in (8, 64))
    one = time_step(program, TOY, Step(1, 1, 32))
    assert short < long <= one.token_cycles + 63 * one.initiation_interval_cycles
