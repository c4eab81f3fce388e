"""Cost and capacity follow from rates, watts and prices; what makes no sense is refused with what would."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.commands import run
from support.mesh_models import tiny

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError, InvalidRequestError
from undiced.machine import find_machine
from undiced.machine.prices import PRICES
from undiced.program import Bounds
from undiced.study.cost import capacity, cost, held_streams, load_of, operation
from undiced.study.economy import expense, price_draws

WAFER = find_machine("toy-14x5:22K")
FIXED = PRICES
for name, each in PRICES.constants():
    FIXED = FIXED.given(name, each.value, each.value)


@pytest.fixture(scope="module")
def program():
    graph, _ = tiny("llama")
    return compile_graph(graph, WAFER, Options(bounds=Bounds(2, 64), region=(7, 5)))


def running(program, *load):
    return operation(program, WAFER, load_of(program, WAFER, 64, *load), FIXED)


def test_dollars_are_capital_and_energy_over_tokens():
    one = np.ones(1)
    found = expense(price_draws(FIXED, 1), 8766 * one, 1000 * one, 2 * one, 500 * one)
    used = 500 * 0.5
    hourly = 8766 * 1.2 / (4 * 8766)
    powered = (1000 + 2 * used) / 1000 * 1.25 * 0.08
    million = used * 3600 / 1e6
    assert found.capital.median == pytest.approx(hourly / million)
    assert found.energy.median == pytest.approx(powered / million)
    assert found.total.median == pytest.approx((hourly + powered) / million)
    assert found.tokens_per_usd.median == pytest.approx(1e6 / found.total.median)


def test_more_sequences_share_what_a_system_costs(program):
    one, both = (cost(running(program, n)) for n in (1, 2))
    assert both.tokens_per_second.median > 1.5 * one.tokens_per_second.median
    assert both.expense.total.median < one.expense.total.median
    assert both.token_j.median < one.token_j.median


def test_a_clock_that_is_named_is_not_drawn(program):
    named = cost(running(program, 1, 1e9))
    assert named.tokens_per_second.low == pytest.approx(named.tokens_per_second.high)
    drawn = cost(running(program, 1))
    assert drawn.tokens_per_second.low < named.tokens_per_second.median < drawn.tokens_per_second.high


def test_systems_for_users_are_whole_and_enough(program):
    of = running(program)
    found = capacity(of, users=7, speed=10.0)
    assert found.streams == (2, 2) and found.copies == (4, 4) and found.systems == (4, 4)
    assert found.price_usd.median == pytest.approx(4 * 2.5e6 * 1.2)
    with pytest.raises(CompileError, match="No user gets") as refused:
        capacity(of, users=7, speed=9e5)
    assert "speed=" in refused.value.remedy


def test_a_frontier_holds_more_sequences_of_shorter_contexts(program):
    more = replace_facts(program, (("context/8", 16.0), ("context/4", 32.0)))
    assert [held_streams(more, context) for context in (16, 32, 64)] == [8, 4, 2]
    with pytest.raises(InvalidRequestError, match="do not fit") as refused:
        load_of(more, WAFER, 32, 5)
    assert "streams=" in refused.value.remedy
    with pytest.raises(CompileError, match="holds 64 positions, and 65 are asked for"):
        load_of(more, WAFER, 65)


def replace_facts(program, added):
    import msgspec

    return msgspec.structs.replace(program, facts=(*program.facts, *added))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--system-price", "3M-2M"), "makes no sense"),
        (("--system-price", "much"), "is no amount"),
        (("--utilization", "1.5"), "makes no sense"),
        (("--years", "0"), "makes no sense"),
        (("--system-price", "0"), "makes no sense"),
        (("--power-price", "20"), "makes no sense"),
        (("--users", "5"), "go together"),
        (("--speed", "5"), "go together"),
        (("--users", "5", "--speed", "-1"), "no target"),
        (("--users", "5", "--speed", "nan"), "no target"),
    ],
)
def test_prices_and_targets_that_make_no_sense_are_refused_before_anything_is_placed(options, words):
    with pytest.raises(InvalidRequestError, match=words) as refused:
        run("cost", "llama-3.1-8b", *options)
    assert refused.value.remedy


@pytest.mark.parametrize(("users", "speed"), [(10**12, 5.0), (5, 0.0), (5, float("inf"))])
def test_absurd_targets_are_refused(program, users, speed):
    with pytest.raises(InvalidRequestError, match="no target"):
        capacity(running(program), users=users, speed=speed)


def test_the_command_says_what_it_assumes(program, tmp_path):
    file = tmp_path / "tiny.wafer"
    program.save(file)
    options = ("--users", "3", "--speed", "10", "--system-price", "2M-3M", "--years", "4")
    found = json.loads(run("cost", str(file), *options, "--json"))
    assert found["usd_per_million_tokens"]["low"] < found["usd_per_million_tokens"]["high"]
    assert found["capacity"]["systems"] == [2, 2]
    assert found["assumptions"]["years"]["source"] == "as asked"
    told = run("cost", str(file), *options)
    assert "US$ a million tokens" in told and "assumed" in told and "as asked" in told
