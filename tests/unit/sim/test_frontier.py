"""Users by context by speed: points beside what the pipeline allows, and longer contexts beside programs for them."""

from dataclasses import replace

import pytest
from support.mesh_configs import DENSE

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError, InvalidRequestError
from undiced.draw.chart import draw
from undiced.machine import find_machine
from undiced.model import build_config
from undiced.program import Bounds
from undiced.program.wafer.step import Step
from undiced.sim.frontier import held, longest, point, timed
from undiced.study.frontier import chart, frontier
from undiced.study.question import Question

TOY = find_machine("toy-12x12")


def program(context=64, config=DENSE, **how):
    options = Options(Bounds(1, context), frontier=True, region=(6, 6), **how)
    return compile_graph(build_config(config), TOY, options)


@pytest.mark.parametrize("windows", [(), (0, 200)])
def test_a_longer_context_is_timed_as_by_a_program_for_it(windows):
    config = replace(DENSE, layers=2, windows=windows, context=1024)
    short, long = program(100, config), program(700, config)
    step = Step(1, 1, 700)
    assert timed(short, TOY, step, None).token_cycles == pytest.approx(
        timed(long, TOY, step, None).token_cycles, rel=0.01
    )
    assert timed(short, TOY, replace(step, context=80), None).token_cycles < timed(short, TOY, step, None).token_cycles


def test_users_are_as_fast_as_one_until_the_pipeline_is_full():
    made = program()
    timing = timed(made, TOY, Step(1, 1, 64), None)
    points = [point(timing, users) for users in (1, 2, 4, 8, 64)]
    assert points[0].tokens_per_second == timing.tokens_per_second
    each, every = [p.tokens_per_second for p in points], [p.aggregate for p in points]
    assert each == sorted(each, reverse=True) and every == sorted(every)
    full = timing.clock_hz / timing.initiation_interval_cycles
    assert every[-1] == pytest.approx(full) and max(every) <= full * 1.0001


def test_more_users_hold_shorter_contexts():
    made = program()
    points = list(longest(made, TOY, None, Step(1, 1, 64)))
    assert [p.users for p in points] == list(held(made))
    assert [p.context for p in points] == sorted((p.context for p in points), reverse=True)
    assert {p.users for p in longest(made, TOY, None, Step(4, 1, 64))} == {p.users for p in points if p.users >= 4}


def asked(**how):
    return Question(replace(DENSE, context=1024), TOY, **how)


@pytest.fixture(scope="module")
def found():
    return frontier(asked(region=(6, 6)), (64, 512), (1, 2))


def test_every_point_is_the_best_of_its_placements(found):
    alone = frontier(asked(region=(6, 6)), (64, 512), (1,))
    best = {(p.point.context, p.point.users): p.point.tokens_per_second for p in found.points}
    less = {(p.point.context, p.point.users): p.point.tokens_per_second for p in alone.points}
    assert set(best) >= set(less) and all(best[key] >= speed for key, speed in less.items())
    assert {context for context, _ in best} == {64, 512}
    assert any(p.point.lockstep == 2 for p in found.points) or best == less


def test_a_line_for_each_context_as_far_as_memory_reaches(found):
    drawn = chart(found)
    assert [series.name for series in drawn.series] == ["context 64", "context 512"]
    assert max(x for x, _ in drawn.series[0].points) > max(x for x, _ in drawn.series[1].points)
    assert "users at once" in draw(drawn).document("auto")
    assert found.as_dict()["points"][0]["streams"] == 1


def test_what_has_no_frontier_is_refused():
    with pytest.raises(InvalidRequestError, match="no frontier"):
        frontier(asked(mapping="waferllm"), (128,), (1,))
    with pytest.raises(InvalidRequestError, match="needs contexts"):
        frontier(asked(), (), (1,))
    with pytest.raises(CompileError, match="does not fit"):
        frontier(asked(wafers=1, region=(6, 6)), (1 << 22,), (1,))
