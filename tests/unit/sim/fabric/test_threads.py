"""What threads and the datapath of a core of the fabric do, and when; and what is told of programs that do not end."""

from __future__ import annotations

from functools import partial
from math import ceil

import numpy as np
import pytest
from support.fabric_programs import (
    Script,
    Simulate,
    eastward,
    floats,
    line,
    numbers,
    plain,
    program,
    receive,
    send,
    switch,
    words,
)
from support.fabric_simulators import SIMULATORS, native
from support.line_formulas import broadcast_line

from undiced.program.wafer.value import DType
from undiced.sim.fabric.microops import Bind, Delay, Fork, Immediate, In, Memory, Out, Vector, Wait
from undiced.sim.fabric.simulate import simulate as native_simulate

pytestmark = pytest.mark.parametrize("simulate", SIMULATORS)


def test_an_operation_on_memory_takes_its_set_up_and_its_elements(simulate: Simulate) -> None:
    for loops, extents, cycles in ((0, (4, 2), 3 + 2.5), (1, (4, 2), 4 * (3 + 2.5)), (2, (4, 2), 8 * (3 + 2.5))):
        op = Vector("add", Memory(0, (2, 1)), Memory(0, (2, 1)), Immediate(1.0), extents=extents, loops=loops)
        timed = Vector(op.function, op.target, op.a, op.b, None, extents, loops, 3, 2.5)
        outcome = simulate(line([(timed, timed)], [{}]), plain(), memory=numbers(1, 1))
        assert outcome.cycles == 2 * ceil(cycles)
        assert outcome.busy[0, 0] == outcome.worked == outcome.cycles
        before = numbers(1, 1).view(np.float32)[0, 0, :8]
        assert words(outcome, 0, 0, 8) == (before + 2).tolist()


def test_each_iteration_of_a_loop_on_the_fabric_pays_its_set_up(simulate: Simulate) -> None:
    out, m = Out(0, 0), Memory(0, (4, 1))
    for setup, rounded in ((0, 0), (2, 2), (1.5, 2)):
        looped = Vector("move", out, m, extents=(3, 4), loops=1, setup=setup)
        outcome = simulate(line([(looped,), (receive(12),)], eastward(2)), plain())
        assert outcome.finished[0, 0] == 3 * (rounded + 4)
        once = Vector("move", out, m, extents=(3, 4), setup=setup)
        assert simulate(line([(once,), (receive(12),)], eastward(2)), plain()).finished[0, 0] == rounded + 12


def test_wavelets_go_before_work_on_memory(simulate: Simulate) -> None:
    """A microthread takes 10 wavelets while the main thread works for 30 cycles: both share one datapath."""
    op = Vector("add", floats(4), floats(4), Immediate(1.0), extents=(4,), cycles=30)
    scripts: list[Script] = [(send(10),), (Fork(0, (receive(10, address=64),)), op, Wait((0,)))]
    outcome = simulate(line(scripts, eastward(2)), plain())
    assert outcome.finished[0, 1] == outcome.busy[0, 1] == 40


def test_a_wait_lasts_until_its_microthreads_have_ended(simulate: Simulate) -> None:
    waits = (Fork(0, (receive(4),)), Fork(1, (Delay(1),)), Wait((1,)), Delay(1), Wait((0, 1), cycles=5), Delay(2))
    outcome = simulate(line([(send(4),), waits], eastward(2)), plain())
    assert outcome.finished[0, 1] == broadcast_line(4, 2) + 5 + 2
    assert outcome.busy[0, 1] == 4 + 1 + 1 + 5 + 2


def test_a_fork_of_a_busy_microthread_waits_for_it(simulate: Simulate) -> None:
    """The microthread works for 5 cycles and for 3; the main thread, which is last, for one at the end."""
    outcome = simulate(line([(Fork(0, (Delay(5),)), Fork(0, (Delay(3),)), Delay(1))], [{}]), plain())
    assert outcome.cycles == outcome.busy[0, 0] == 5 + 3 + 1


def test_two_threads_that_start_one_microthread_do_so_one_after_the_other(simulate: Simulate) -> None:
    """Also where both found it idle and take some cycles to start it: no script is lost."""
    plus_1 = Vector("add", floats(1), floats(1), Immediate(1.0))
    first, second = Fork(2, (plus_1,) * 2), Fork(2, (plus_1,) * 3)
    started = line([(Fork(0, (first,)), Fork(1, (second,)), Wait((0, 1)), Wait((2,)))], [{}])
    late = [partial(native_simulate, jitter=4, seed=seed) for seed in range(20)]
    for run in late if simulate is native else [simulate]:
        outcome = run(started, plain())
        assert outcome.status == "finished"
        assert words(outcome, 0, 0, 1) == [5.0]


def test_microthreads_go_by_number_and_the_main_thread_last(simulate: Simulate) -> None:
    """All have wavelets to send from the start on, each to a neighbor of its own."""
    scripts = (Fork(1, (send(5, 1, 1),)), Fork(0, (send(5, 0, 0),)), send(5, 2, 2))
    paints = [((1, 0), 0, switch("C>E")), ((1, 0), 1, switch("C>W")), ((1, 0), 2, switch("C>S"))]
    paints += [((2, 0), 0, switch("W>C")), ((0, 0), 1, switch("E>C")), ((1, 1), 2, switch("N>C"))]
    heard: dict[tuple[int, int], Script] = {at: (receive(5, c),) for at, c in (((2, 0), 0), ((0, 0), 1), ((1, 1), 2))}
    outcome = simulate(program(3, 2, paints, {(1, 0): scripts, **heard}), plain())
    assert [int(outcome.finished[y, x]) for x, y in heard] == [broadcast_line(5 * n, 2) for n in (1, 2, 3)]


def test_sections_follow_each_other_on_each_core_alone(simulate: Simulate) -> None:
    """A core goes on with the next section while its neighbor is still in the first."""
    first: dict[tuple[int, int], Script] = {(0, 0): (Delay(5),), (1, 0): (Delay(20),)}
    second: dict[tuple[int, int], Script] = {(0, 0): (Delay(7),)}
    outcome = simulate(program(2, 1, [], first, second, {(1, 0): (Delay(1),)}), plain())
    assert outcome.sections.tolist() == [[0, 20], [5, 12], [20, 21]]
    assert outcome.finished.tolist() == [[12, 21]]


def test_a_queue_is_bound_again_once_it_is_empty(simulate: Simulate) -> None:
    """The last wavelet leaves its router a ramp after it was sent; then the binding takes its own time."""
    scripts: list[Script] = [(send(4), Bind(0, 1, cycles=6), send(1, 1)), (receive(4), receive(1, 1, 1))]
    paints = [{0: switch("C>E"), 1: switch("C>E")}, {0: switch("W>C"), 1: switch("W>C")}]
    for bound in (True, False):
        outcome = simulate(line(scripts, paints), plain(bound=bound))
        left = 3 + 1 + 2  # the cycle in which the last wavelet leaves the router
        assert outcome.finished[0, 0] == left + 6 + 1


# Numbers


def test_16_bit_elements_travel_in_pairs_and_rows_begin_anew(simulate: Simulate) -> None:
    """Rows of 5: three wavelets each, and a beat takes two elements."""
    extents = (2, 5)
    out = Vector("move", Out(0, 0, DType.F16), Memory(0, (5, 1), DType.F16), extents=extents)
    into = Vector("add", Memory(0, (5, 1), DType.F16), Immediate(1.0), In(0, 0, DType.F16), extents=extents)
    memory = np.zeros((1, 2, 64), np.uint8)
    memory[0, 0, :20] = np.arange(10, dtype=np.float16).view(np.uint8)
    outcome = simulate(line([(out,), (into,)], eastward(2), memory_bytes=64), plain(), memory=memory)
    assert outcome.hops == 6
    assert outcome.cycles == broadcast_line(6, 2)
    assert outcome.memory[0, 1, :20].view(np.float16).tolist() == list(range(1, 11))


def test_products_are_rounded_before_they_are_added(simulate: Simulate) -> None:
    a, c = np.float32(1 + 2**-12), np.float32(-1 - 2**-11)
    memory = np.zeros((1, 1, 64), np.uint8)
    memory[0, 0, :8] = np.array([a, c], np.float32).view(np.uint8)
    op = Vector("multiply_add", Memory(8, (1,)), Memory(0, (1,)), Memory(0, (1,)), Memory(4, (1,)))
    assert words(simulate(line([(op,)], [{}], 64), plain(), memory=memory), 0, 0, 1, 8) == [0.0]


def test_results_are_rounded_to_what_they_are_said_to_be(simulate: Simulate) -> None:
    op = Vector("add", floats(1), Immediate(2048.0), Immediate(1.0), rounded=DType.F16)
    assert words(simulate(line([(op,)], [{}]), plain()), 0, 0, 1) == [2048.0]


def test_an_operation_may_add_into_its_own_target(simulate: Simulate) -> None:
    """Element by element: a target that stands still holds the sum."""
    op = Vector("add", Memory(32, (0,)), Memory(32, (0,)), Memory(0, (1,)), extents=(8,), cycles=8)
    memory = numbers(1, 1)
    memory[0, 0, 32:36] = 0
    total = memory.view(np.float32)[0, 0, :8].sum()
    assert words(simulate(line([(op,)], [{}]), plain(), memory=memory), 0, 0, 1, 32) == [total]


# What does not end


def test_cores_that_wait_for_each_other_are_named(simulate: Simulate) -> None:
    scripts: list[Script] = [(receive(1, 1), send(1)), (), (receive(1), send(1, 1))]
    paints = [
        {0: switch("C>E"), 1: switch("E>C")},
        {0: switch("W>E"), 1: switch("E>W")},
        {0: switch("W>C"), 1: switch("C>W")},
    ]
    outcome = simulate(line(scripts, paints), plain())
    assert outcome.status == "deadlock"
    assert {(w.x, w.y) for w in outcome.waiting} == {(0, 0), (2, 0)}


def test_wavelets_that_nobody_hears_are_named(simulate: Simulate) -> None:
    outcome = simulate(line([(send(1),), (), ()], eastward(3)), plain())
    assert outcome.status == "deadlock"
    assert {(w.x, w.y) for w in outcome.waiting} == {(2, 0)}


def test_a_limit_ends_what_is_too_long(simulate: Simulate) -> None:
    assert simulate(line([(Delay(50),)], [{}]), plain(), limit=50).status == "finished"
    outcome = simulate(line([(Delay(51),)], [{}]), plain(), limit=50)
    assert (outcome.status, outcome.cycles) == ("limit", 50)
    assert {(w.x, w.y) for w in outcome.waiting} == {(0, 0)}
