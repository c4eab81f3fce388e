"""Variants: draws at clocks, timings over them, and closed forms of what sequences share."""

import pytest
from support.claim_bench import timings
from support.mesh_models import tiny

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.program import Bounds
from undiced.program.wafer.step import Step
from undiced.sim.acceptance import Acceptance
from undiced.sim.clock import time_step
from undiced.sim.prompt import time_prompt
from undiced.study.variants import clock_range, variants

WAFER = find_machine("toy-14x5:22K")


@pytest.fixture(scope="module")
def program():
    graph, _ = tiny("llama")
    return compile_graph(graph, WAFER, Options(bounds=Bounds(2, 64), region=(7, 5)))


def test_draws_differ_in_everything_assumed_and_in_the_clock(program):
    over = variants(WAFER, 6)
    found = over.time(program, 64)
    assert len(set(over.clocks_hz)) == 6 and all(0.85e9 < clock < 1.1e9 for clock in over.clocks_hz)
    assert len({one.token_cycles for one in found.each}) > 1
    assert over.time(program, 64) is found and "6 of 6 draws" in over.words and "0.85 to 1.1 GHz" in over.words


def test_a_named_clock_is_not_drawn(program):
    over = variants(WAFER, 3, 1e9)
    assert set(over.clocks_hz) == {1e9} and over.words.startswith("simulated at 1 GHz")
    assert clock_range(WAFER, 0.5e9) == (0.5e9, 0.5e9)


def test_a_machine_of_a_file_varies_by_its_clock_alone(program):
    from dataclasses import replace

    other = replace(WAFER, name="mine")
    over = variants(other, 16)
    assert len(over.wafers) == 2 and over.drawn == 0 and "the clock alone" in over.words
    found = over.time(msgspec_replace(program, other), 64)
    plain = time_step(program, WAFER, Step(1, 1, 64), 1.1e9)
    assert found.each[1].token_cycles == pytest.approx(plain.token_cycles)


def msgspec_replace(program, machine):
    import msgspec

    return msgspec.structs.replace(program, machine=machine.name, machine_digest=machine.digest)


def test_sequences_share_a_pipeline_until_its_slowest_stage_never_rests():
    found = timings(1000, interval_cycles=2.5e5)  # a token of 1e6 cycles, four of which are under way at most
    assert found.tokens_per_second(1) == pytest.approx([1000])
    assert found.tokens_per_second(4) == pytest.approx([4000]) == found.tokens_per_second(9)
    assert found.first_token_s(101) == pytest.approx([1e-3 + 100 * 2.5e-4])


def test_a_draft_that_is_always_right_is_faster_the_faster_it_is():
    target, quick, slow = timings(1000), timings(20_000), timings(5_000)
    often = Acceptance.assumed(0.8)
    assert (target.speculated(quick, often) > target.speculated(slow, often)).all()
    assert target.speculated(quick, Acceptance.assumed(0.0)) == pytest.approx(1000)


def test_a_prompt_is_taken_in_chunks_where_the_program_takes_them(program):
    graph, _ = tiny("llama")
    options = Options(bounds=Bounds(1, 64), region=(14, 5), chunk=4, phase="prefill", objective="interval")
    chunked, over = compile_graph(graph, WAFER, options), variants(WAFER, 2, 1e9)
    cycles = over.prompt_cycles(chunked, 40)
    assert cycles == pytest.approx([time_prompt(chunked, wafer, 40, 1e9).cycles for wafer in over.wafers])
    assert over.prompt_s(chunked, 40) == pytest.approx(cycles / 1e9)
    assert over.prompt_cycles(program, 40) == pytest.approx(over.time(program, 40).first_token_s(40) * 1e9)


@pytest.mark.parametrize("count", [0, 10**6])
def test_draws_out_of_range_are_refused(count):
    with pytest.raises(CompileError, match="out of range"):
        variants(WAFER, count)
