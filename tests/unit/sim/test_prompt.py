"""Prompts in chunks: the pipeline's recurrence, drawn between what is timed, against what the graph counts."""

import itertools
from functools import cache

import pytest
from support.mesh_configs import DENSE, LATENT, MIXED

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.model import build_config
from undiced.model.node import Load
from undiced.program import Bounds
from undiced.program.wafer.step import Step
from undiced.sim.clock import time_step
from undiced.sim.outlook import check_phase, first_token_cycles, outlook
from undiced.sim.prompt import chunk_cycles, multiply_adds, piped, time_prompt

TOY = find_machine("toy-12x12")
HZ = 1e9


@cache
def compiled(config, context, **options):
    """On four regions of a toy, which have room for any chunk."""
    asked = Options(bounds=Bounds(options.pop("batch", 1), context), region=(6, 6), objective="interval", **options)
    return compile_graph(build_config(config), TOY, asked)


def _walked(chunks):
    """The obvious twin: the longest way from the first chunk at the first place to the last at the last."""
    places, count = len(chunks[0]), len(chunks)
    best = 0.0
    for turns in itertools.combinations(range(places + count - 2), places - 1):
        place = chunk = 0
        total = chunks[0][0]
        for step in range(places + count - 2):
            place, chunk = (place + 1, chunk) if step in turns else (place, chunk + 1)
            total += chunks[chunk][place]
        best = max(best, total)
    return best


@pytest.mark.parametrize("chunks", [[(1.0, 2.0), (1.0, 2.0), (3.0, 1.0)], [(5.0, 1.0, 2.0)] * 4, [(2.0,), (3.0,)],
                                    [(1.0, 7.0, 1.0), (2.0, 1.0, 9.0), (6.0, 1.0, 1.0), (1.0, 1.0, 5.0)]])  # fmt: skip
def test_a_prompt_takes_the_longest_way_through_its_pipeline(chunks):
    assert piped(chunks) == _walked(chunks)


def test_few_chunks_are_timed_each_by_itself_and_the_last_token_alone_meets_the_end():
    program = compiled(DENSE, 64, chunk=8)
    found = time_prompt(program, TOY, 27, HZ)
    contexts = [(8, 8), (8, 16), (8, 24), (3, 27)]
    chunks = [chunk_cycles(program, TOY, Step(1, tokens, context), HZ) for tokens, context in contexts]
    assert (found.chunk, found.sizes, found.chunks) == (8, (8, 8, 8, 3), tuple(chunks))
    assert found.chunk_cycles == max(chunks[2])
    assert found.cycles == pytest.approx(piped(chunks) + sum(found.ends))
    assert found.busiest_cycles < found.cycles
    whole = time_step(program, TOY, Step(1, 8, 24), HZ)
    assert sum(chunks[2]) + sum(found.ends) == pytest.approx(whole.token_cycles, rel=0.01)


def test_what_lies_between_is_drawn_straight():
    program = compiled(DENSE, 256, chunk=8)
    chunks = [chunk_cycles(program, TOY, Step(1, 8, 8 * n), HZ) for n in range(1, 33)]
    found = time_prompt(program, TOY, 256, HZ)
    assert found.cycles == pytest.approx(piped(chunks) + sum(found.ends), rel=0.01)


def test_chunks_are_faster_than_single_tokens_and_large_ones_than_small_ones():
    single = first_token_cycles(compiled(DENSE, 64), TOY, 64, HZ)
    chunked = [time_prompt(compiled(DENSE, 64, chunk=size), TOY, 64, HZ).cycles for size in (2, 8, 16)]
    assert [single, *chunked] == sorted([single, *chunked], reverse=True)
    program = compiled(DENSE, 64, chunk=16)
    assert time_prompt(program, TOY, 64, HZ, chunk=4).cycles > time_prompt(program, TOY, 64, HZ).cycles


@pytest.mark.parametrize("config", [DENSE, MIXED, LATENT], ids=["dense", "mixed", "latent"])
def test_multiply_adds_are_those_of_the_graph(config):
    program = compiled(config, 64, chunk=4)
    wanted = build_config(config).flops(Load(1, 1.0)) / 2
    assert multiply_adds(program, 1) == pytest.approx(wanted, rel=0.1)  # norms and activations are no multiply-adds
    assert multiply_adds(program, 9) < 9 * multiply_adds(program, 9) / 8


def test_a_report_says_how_a_prompt_is_taken():
    program = compiled(DENSE, 64, chunk=8, batch=2)
    timing = time_step(program, TOY, Step(1, 8, 64), HZ)
    found = outlook(program, TOY, timing, "prefill")
    asked = time_prompt(program, TOY, 64, HZ)
    assert (found["chunk"], found["chunks"], found["prompt_cycles"]) == (8, 8, asked.cycles)
    assert found["aggregate_tokens_per_second"] == 64 * HZ / asked.busiest_cycles > found["tokens_per_second"]
    peak = program.wafers * TOY.mesh.cores * TOY.core.lanes_16bit.value
    assert found["dense_peak_share"] == pytest.approx(multiply_adds(program, 64) / peak / asked.cycles)
    token = time_step(program, TOY, Step(1, 1, 64), HZ)
    assert found["decoding"]["cycles_per_token"] == token.token_cycles
    told = outlook(program, TOY, token)
    assert told["time_to_first_token_s"] == asked.cycles / HZ and "chunk" not in told


def test_what_takes_prompts_alone_does_not_decode():
    program = compiled(DENSE, 64, chunk=8, phase="prefill", alone=True)
    timing = time_step(program, TOY, Step(1, 8, 64), HZ)
    assert "decoding" not in outlook(program, TOY, timing, "prefill")
    check_phase(program, Step(context=64), "prefill")
    with pytest.raises(CompileError, match="takes prompts alone"):
        check_phase(program, Step(context=64), "decode")
