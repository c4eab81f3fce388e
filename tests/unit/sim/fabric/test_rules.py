"""Cycles of the fabric that are known in advance: published closed forms, links that pause, queues and rooms."""

from __future__ import annotations

import numpy as np
import pytest
from support.fabric_programs import (
    CORE,
    DEPTH,
    EAST,
    Script,
    Simulate,
    eastward,
    floats,
    idle,
    line,
    numbers,
    plain,
    receive,
    send,
    switch,
    words,
)
from support.fabric_simulators import SIMULATORS
from support.line_formulas import broadcast_line, chain_reduce, star_reduce

from undiced.machine.presets import PRESETS
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import Delay, Fork, In, Out, Vector
from undiced.sim.fabric.program import FabricProgram
from undiced.sim.fabric.routes import Switch

pytestmark = pytest.mark.parametrize("simulate", SIMULATORS)
RAMPS = (1, 2, 3)
SIZES = [(2, 1), (2, 9), (5, 1), (7, 16), (12, 5)]


def chain(cores: int, count: int) -> FabricProgram:
    """Sums from east to west: each core adds its own to what comes, and passes it on."""
    m, scripts, paints = floats(count), list[Script](), list[dict[int, Switch]]()
    for x in range(cores):
        out, source = Out(x % 2, x % 2), In(0, (x + 1) % 2)
        last, first = x == cores - 1, x == 0
        target = m if first else out
        scripts.append(
            (Vector("move", out, m, extents=(count,)) if last else Vector("add", target, m, source, extents=(count,)),)
        )
        to = {} if first else {x % 2: switch("C>W")}
        paints.append(to if last else to | {(x + 1) % 2: switch("E>C")})
    return line(scripts, paints)


@pytest.mark.parametrize("ramp", RAMPS)
@pytest.mark.parametrize(("cores", "count"), SIZES)
def test_a_chain_takes_its_payload_and_two_ramps_and_two_cycles_a_core(
    simulate: Simulate, cores: int, count: int, ramp: int
) -> None:
    memory = numbers(cores, 1)
    outcome = simulate(chain(cores, count), plain(ramp), memory=memory)
    assert outcome.cycles == chain_reduce(count, cores, ramp)
    assert words(outcome, 0, 0, count) == memory.view(np.float32)[0, :, :count].sum(axis=0).tolist()
    assert outcome.hops == count * (cores - 1)


def multicast(cores: int, count: int) -> FabricProgram:
    """The first core of a row sends to all others."""
    middle = [{0: switch("W>CE")} for _ in range(cores - 2)]
    return line(
        [(send(count),), *[(receive(count),) for _ in range(cores - 1)]],
        [{0: switch("C>E")}, *middle, {0: switch("W>C")}],
    )


@pytest.mark.parametrize("ramp", RAMPS)
@pytest.mark.parametrize(("cores", "count"), SIZES)
def test_a_multicast_takes_its_payload_and_its_cores_and_two_ramps(
    simulate: Simulate, cores: int, count: int, ramp: int
) -> None:
    memory = numbers(cores, 1)
    outcome = simulate(multicast(cores, count), plain(ramp), memory=memory)
    assert outcome.cycles == broadcast_line(count, cores, ramp)
    assert all(words(outcome, x, 0, count) == words(outcome, 0, 0, count) for x in range(cores))
    assert outcome.loads[0, :, EAST].tolist() == [count] * (cores - 1) + [0]
    assert outcome.loads[0, :, CORE].tolist() == [0] + [count] * (cores - 1)
    assert outcome.finished[0].tolist() == [count] + [broadcast_line(count, x + 1, ramp) for x in range(1, cores)]


def star(cores: int, count: int) -> FabricProgram:
    """Every core sends to the first, which adds: the nearest first, whose switch then lets the others pass."""
    root = tuple(Vector("add", floats(count), floats(count), In(0, 0), extents=(count,)) for _ in range(cores - 1))
    member = switch("C>W", "E>W")
    return line(
        [root, *[(send(count, advance=True),) for _ in range(cores - 1)]],
        [{0: switch("E>C")}, *[{0: member} for _ in range(cores - 2)], {0: switch("C>W")}],
    )


@pytest.mark.parametrize("ramp", RAMPS)
@pytest.mark.parametrize(("cores", "count"), SIZES)
def test_a_star_is_as_published_and_a_hop_more_which_the_form_leaves_out(
    simulate: Simulate, cores: int, count: int, ramp: int
) -> None:
    memory = numbers(cores, 1)
    outcome = simulate(star(cores, count), plain(ramp), memory=memory)
    assert outcome.cycles == star_reduce(count, cores, ramp) + 1
    assert words(outcome, 0, 0, count) == memory.view(np.float32)[0, :, :count].sum(axis=0).tolist()


@pytest.mark.parametrize(("cores", "count"), SIZES)
@pytest.mark.parametrize(("run", "pause"), [(8, 1), (3, 1), (3, 2)])
def test_links_stand_still_after_so_many_wavelets_in_a_row(
    simulate: Simulate, cores: int, count: int, run: int, pause: int
) -> None:
    """One after the other, links pause in step: what the first adds, the others do not add again."""
    outcome = simulate(multicast(cores, count), plain(run=run, pause=pause))
    assert outcome.cycles == broadcast_line(count, cores) + pause * ((count - 1) // run)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_an_idle_cycle_counts_as_a_pause(simulate: Simulate, count: int) -> None:
    """Up to 4 wavelets, 1 idle cycle of the sender, as many wavelets: a link that passes 4 of 5 adds nothing."""
    scripts: list[Script] = [(send(count), Delay(1), send(count)), (receive(2 * count, address=64),)]
    slow = simulate(line(scripts, eastward(2)), plain(run=4, pause=1))
    fast = simulate(line(scripts, eastward(2)), plain())
    assert slow.cycles == fast.cycles == broadcast_line(2 * count, 2) + 1


def test_an_idle_cycle_is_no_pause_of_two(simulate: Simulate) -> None:
    """2 wavelets, 1 idle cycle, 2 wavelets: of a link that rests for 2 cycles after 3, the last still waits."""
    scripts: list[Script] = [(send(2), Delay(1), send(2)), (receive(4, address=64),)]
    assert simulate(line(scripts, eastward(2)), plain(run=3, pause=2)).cycles == broadcast_line(4, 2) + 1 + 2


def test_a_machine_of_8_of_9_passes_8_of_9(simulate: Simulate) -> None:
    outcome = simulate(multicast(4, 64), Hardware.of(PRESETS["wse3"]()))
    assert outcome.cycles == broadcast_line(64, 4) + 7
    assert simulate(multicast(4, 64), Hardware.of(PRESETS["wse3"](), link_rate=1.0)).cycles == broadcast_line(64, 4)


# Queues, rooms, back-pressure


def sender_ends(simulate: Simulate, hardware: Hardware, cores: int, queue: int, count: int, late: int) -> int:
    """When a sender's last wavelet is out, if the last core of a row only listens after `late` cycles."""
    receiver = idle(late, receive(count, address=0))
    scripts: list[Script] = [(send(count, queue=queue),), *[() for _ in range(cores - 2)], receiver]
    outcome = simulate(line(scripts, eastward(cores)), hardware)
    assert outcome.status == "finished"
    return int(outcome.finished[0, 0])


@pytest.mark.parametrize("wafer", ["wse2", "wse3"])
def test_a_sender_stops_when_its_queue_and_the_routers_are_full(simulate: Simulate, wafer: str) -> None:
    hardware = Hardware.of(PRESETS[wafer](), link_rate=1.0)
    for queue, depth in enumerate(hardware.outputs):
        if depth == 0:
            continue
        for cores in (2, 4) if queue == 0 else (2,):
            held = depth + hardware.ramp + hardware.router_words * (cores - 1)
            assert sender_ends(simulate, hardware, cores, queue, held, 30) == held
            assert sender_ends(simulate, hardware, cores, queue, held + 1, 30) > 30


@pytest.mark.parametrize("wafer", ["wse2", "wse3"])
def test_an_input_queue_takes_its_depth_while_its_operation_is_set_up(simulate: Simulate, wafer: str) -> None:
    """It hears its color from the operation's start on, long before it can use a wavelet."""
    hardware = Hardware.of(PRESETS[wafer](), link_rate=1.0)
    for queue, depth in enumerate(hardware.inputs):
        held = depth + hardware.ramp + hardware.router_words + hardware.outputs[0] + hardware.ramp
        for count, stalls in ((held, False), (held + 1, True)):
            late = Vector("move", floats(count), In(queue, 0), extents=(count,), setup=35)
            outcome = simulate(line([(send(count),), (late,)], eastward(2)), hardware)
            assert (outcome.finished[0, 0] > 35) == stalls
            assert outcome.cycles == 35 + count  # what has arrived is used wavelet by wavelet


def test_a_slow_receiver_holds_a_sender_back_by_its_own_pace(simulate: Simulate) -> None:
    count, pace = 40, 3
    slow = Vector("move", floats(count), In(0, 0), extents=(count,), per_wavelet=pace)
    outcome = simulate(line([(send(count),), (), (slow,)], eastward(3)), plain())
    first = broadcast_line(1, 3) - 1  # when the first can be used
    assert outcome.cycles == first + pace * count
    held = 2 * (DEPTH + 2) + 2 * 2  # both queues with their ramps, two routers
    makes_room = 3  # cycles until room at the receiver has become room at the sender: one a router
    assert outcome.finished[0, 0] == first + pace * (count - 1 - held) + 1 + makes_room


def test_a_router_of_one_word_passes_every_other_cycle(simulate: Simulate) -> None:
    """Room is judged by the state at a cycle's start, so what leaves in it makes none yet."""
    assert simulate(multicast(3, 20), plain(words=1)).cycles == broadcast_line(20, 3) + 19
    assert simulate(multicast(3, 20), plain(words=2)).cycles == broadcast_line(20, 3)


def test_a_multicast_waits_for_the_slowest_of_its_targets(simulate: Simulate) -> None:
    """The middle core listens late: no copy goes on to the last before."""
    scripts: list[Script] = [(send(3),), idle(50, receive(3)), (receive(3),)]
    outcome = simulate(line(scripts, [{0: switch("C>E")}, {0: switch("W>CE")}, {0: switch("W>C")}]), plain())
    assert outcome.finished[0].tolist() == [3, 56, 57]


def test_a_queue_that_holds_wavelets_of_a_color_hears_no_other(simulate: Simulate) -> None:
    """A microthread is set up for 30 cycles while its wavelets lie in a queue that the main thread wants for others."""
    later = (receive(1, 2, 2, 64), receive(2, 1, 0, 32))
    scripts: list[Script] = [
        (send(3), send(1, 2, 2), send(2, 1, 1)),
        (Fork(0, (receive(3, setup=30),)), *later),
    ]
    colors = (0, 1, 2)
    paints = [{color: switch("C>E") for color in colors}, {color: switch("W>C") for color in colors}]
    outcome = simulate(line(scripts, paints), plain(), memory=numbers(2, 1))
    empty = 30 + 1 + 3  # when the queue hears the other color: the set-up has lost a cycle to the wavelet of color 2
    assert outcome.cycles == empty + 1 + 2 + 2
    assert words(outcome, 1, 0, 3) == words(outcome, 0, 0, 3)
