"""The rules of time of the fabric, by programs written by hand whose cycles are known in advance: published forms, and
what queues, switches, links and datapaths add. Every simulator keeps them.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from numpy.typing import NDArray
from support.fabric_programs import (
    CORE,
    DEPTH,
    EAST,
    WEST,
    Script,
    Simulate,
    eastward,
    floats,
    idle,
    line,
    numbers,
    plain,
    program,
    receive,
    send,
    switch,
    words,
)
from support.fabric_twin import twin
from support.line_formulas import broadcast_line, chain_reduce, star_reduce

from undiced.machine.presets import PRESETS
from undiced.program.wafer.value import DType
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import Bind, Delay, Fork, Immediate, In, Memory, Out, Send, Turn, Vector, Wait
from undiced.sim.fabric.outcome import Outcome
from undiced.sim.fabric.program import FabricProgram
from undiced.sim.fabric.routes import Command, Control, Switch
from undiced.sim.fabric.simulate import simulate


def native(
    program: FabricProgram, hardware: Hardware, memory: NDArray[np.uint8] | None = None, limit: int = 1 << 20
) -> Outcome:
    """The native simulator, which works in the memory that it is given, on a copy of that."""
    return simulate(program, hardware, memory=None if memory is None else memory.copy(), limit=limit)


pytestmark = pytest.mark.parametrize("simulate", [twin, native])
RAMPS = (1, 2, 3)
SIZES = [(2, 1), (2, 9), (5, 1), (7, 16), (12, 5)]


# Published forms


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


# Switches and control wavelets


def test_a_switch_holds_back_what_its_position_does_not_accept(simulate: Simulate) -> None:
    """The middle router takes from its core alone until the core turns it."""
    scripts: list[Script] = [(send(2),), (Turn(0, 1, cycles=40),), (receive(2),)]
    middle = switch("C>E", "W>E")
    outcome = simulate(line(scripts, [{0: switch("C>E")}, {0: middle}, {0: switch("W>C")}]), plain())
    opened = 40 + 1  # the core writes the switch in the cycle behind its work, and the router sees it in the next
    assert outcome.finished[0].tolist() == [2, 40, opened + 1 + 2 + 2]


@pytest.mark.parametrize("to", range(1, 5))
def test_a_command_for_so_many_routers_opens_the_one_behind_them(simulate: Simulate, to: int) -> None:
    """All routers of a row pass on; the control wavelet opens that of core `to`, where the data then stays."""
    cores = 5
    control = Control(((Command.NOTHING, to), (Command.ADVANCE, 1)))
    scripts: list[Script] = [(Send(0, 0, control), send(2)), *[() for _ in range(cores - 1)]]
    scripts[to] = (receive(2),)
    paints = [{0: switch("C>E")}, *[{0: switch("W>E", "W>C")} for _ in range(cores - 2)], {0: switch("W>C")}]
    outcome = simulate(line(scripts, paints), plain(), memory=numbers(cores, 1))
    assert outcome.status == "finished"
    assert words(outcome, to, 0, 2) == words(outcome, 0, 0, 2)
    assert outcome.loads[0, :, EAST].tolist() == [3] * to + [1] * (cores - 1 - to) + [0]
    assert outcome.loads[0, :, CORE].tolist() == [2 if x == to else 0 for x in range(cores)]
    assert outcome.cycles == broadcast_line(3, to + 1)


def test_a_command_without_number_is_for_all_that_follow(simulate: Simulate) -> None:
    """Positions 0 and 1 of each router go east, 2 to the core: two commands for all, and the nearest keeps the data."""
    scripts: list[Script] = [(send(2, control=Control(), address=8), Send(0, 0, Control()), send(2)), (receive(4),), ()]
    paints = [{0: switch("C>E")}, {0: switch("W>E", "W>E", "W>C")}, {0: switch("W>C", ring=False)}]
    scripts[2] = (receive(2),)
    scripts[1] = (receive(2),)
    outcome = simulate(line(scripts, paints), plain(), memory=numbers(3, 1))
    assert words(outcome, 2, 0, 2) == words(outcome, 0, 0, 2, address=8)
    assert words(outcome, 1, 0, 2) == words(outcome, 0, 0, 2)
    assert outcome.loads[0, :, EAST].tolist() == [6, 4, 0]


@pytest.mark.parametrize("ring", [True, False])
def test_a_ring_begins_again_and_what_is_none_stays_last(simulate: Simulate, ring: bool) -> None:
    """Of three sends that each move the receiver's router on, the third finds the first way, or the second again."""
    sends = tuple(send(1, control=Control(), address=4 * n) for n in range(3))
    east: Script = (receive(1), receive(1, address=4)) if not ring else (receive(1),)
    here: Script = (receive(1),) if not ring else (receive(1), receive(1, address=4))
    paints = [{0: switch("C>E")}, {0: switch("W>C", "W>E", ring=ring)}, {0: switch("W>C", ring=False)}]
    outcome = simulate(line([sends, here, east], paints), plain(), memory=numbers(3, 1))
    sent = words(outcome, 0, 0, 3)
    assert words(outcome, 1, 0, len(here)) == ([sent[0], sent[2]] if ring else [sent[0]])
    assert words(outcome, 2, 0, len(east)) == ([sent[1]] if ring else [sent[1], sent[2]])


def test_a_reset_goes_back_to_the_first_way(simulate: Simulate) -> None:
    reset = Control(((Command.NOTHING, 1), (Command.RESET, 1)))
    scripts: list[Script] = [(Send(0, 0, Control()), Send(0, 0, Control()), Send(0, 0, reset), send(1)), (receive(1),)]
    paints = [{0: switch("C>E")}, {0: switch("W>C", "W>E", "W>E", ring=False)}, {0: switch("W>C")}]
    outcome = simulate(line([*scripts, ()], paints), plain(), memory=numbers(3, 1))
    assert words(outcome, 1, 0, 1) == words(outcome, 0, 0, 1)
    assert outcome.loads[0, 1].tolist() == [1, 0, 0, 2, 0]  # data to the core; two controls, by later ways, on east


def test_the_sender_s_switch_moves_on_behind_its_last_wavelet(simulate: Simulate) -> None:
    """What was sent goes east, all rows of it, and what is sent next goes west, with no cycle between them."""
    rows = Vector("move", Out(0, 0, advance=True), Memory(0, (2, 1)), extents=(2, 2))
    scripts: list[Script] = [(receive(3),), (rows, send(3)), (receive(4),)]
    outcome = simulate(line(scripts, [{0: switch("E>C")}, {0: switch("C>E", "C>W")}, {0: switch("W>C")}]), plain())
    assert outcome.finished[0].tolist() == [broadcast_line(7, 2), 7, broadcast_line(4, 2)]
    assert (outcome.loads[0, 1, EAST], outcome.loads[0, 1, WEST]) == (4, 3)


# Links and turns


def test_colors_that_want_one_link_take_turns(simulate: Simulate) -> None:
    """Two senders, 12 wavelets each, meet at a link: both end within a wavelet of each other, and nothing is lost."""
    east, west = (receive(12), receive(12, 1)), (send(12),)
    paints = [
        ((0, 0), 0, switch("C>E")),
        ((1, 0), 0, switch("W>E")),
        ((1, 0), 1, switch("C>E")),
        ((2, 0), 0, switch("W>C")),
        ((2, 0), 1, switch("W>C")),
    ]
    both: Script = (Fork(0, (east[0],)), Fork(1, (receive(12, 1, 1, 64),)))
    outcome = simulate(program(3, 1, paints, {(0, 0): west, (1, 0): (send(12, 1),), (2, 0): both}), plain(depth=2))
    assert outcome.status == "finished"
    assert outcome.loads[0, 1, EAST] == 24
    assert outcome.cycles == broadcast_line(24, 2)  # the link between them never idles
    assert abs(int(outcome.finished[0, 0]) - int(outcome.finished[0, 1])) <= 6


def test_a_color_that_has_a_link_to_itself_starves_no_other(simulate: Simulate) -> None:
    """Colors 0, 1 and 2 of a router want east, color 3 goes west all the time: the three advance alike."""
    count = 20
    paints = [
        ((0, 1), 0, switch("C>E")),
        ((1, 1), 0, switch("W>E")),
        ((1, 1), 3, switch("E>C")),
        ((2, 1), 0, switch("W>E")),
        ((2, 1), 1, switch("S>E")),
        ((2, 1), 2, switch("N>E")),
        ((2, 1), 3, switch("C>W")),
        ((2, 0), 2, switch("C>S")),
        ((2, 2), 1, switch("C>N")),
        *[((3, 1), color, switch("W>C")) for color in (0, 1, 2)],
    ]
    section: dict[tuple[int, int], Script] = {
        (0, 1): (send(count),),
        (2, 2): (send(count, 1),),
        (2, 0): (send(count, 2),),
        (2, 1): (send(3 * count, 3),),
        (1, 1): (receive(3 * count, 3),),
        (3, 1): tuple(Fork(color, (receive(count, color, color),)) for color in (0, 1, 2)),
    }
    outcome = simulate(program(4, 3, paints, section), plain(depth=2))
    ends = [int(outcome.finished[y, x]) for x, y in ((0, 1), (2, 2), (2, 0))]
    assert outcome.status == "finished"
    assert max(ends) - min(ends) <= 3 * 3  # one more router of two words, at a third of the link's rate


def test_ports_of_one_color_take_turns(simulate: Simulate) -> None:
    """The middle core's wavelets and its neighbor's leave by one way, one of each after the other."""
    scripts: list[Script] = [(send(20),), (send(20),), (receive(40),)]
    outcome = simulate(line(scripts, [{0: switch("C>E")}, {0: switch("WC>E")}, {0: switch("W>C")}]), plain(depth=2))
    assert outcome.cycles == broadcast_line(40, 2)
    assert abs(int(outcome.finished[0, 0]) - int(outcome.finished[0, 1])) <= 2 * 3


def test_a_core_s_queues_share_its_ramp(simulate: Simulate) -> None:
    """8 wavelets wait in two queues for both switches to open; they leave in 8 cycles, though not by the same link."""
    opens = (Turn(0, 1, cycles=20), Turn(1, 1))
    sends = (Fork(0, (send(4),)), Fork(1, (send(4, 1, 1),)), *opens)
    paints = [{0: switch("E>C")}, {0: switch("E>W", "C>W"), 1: switch("W>E", "C>E")}, {1: switch("W>C")}]
    outcome = simulate(line([(receive(4),), sends, (receive(4, 1),)], paints), plain())
    assert outcome.busy[0, 1] == 28
    assert outcome.cycles == 28 + 1 + 8 + 1 + 2


def test_a_ramp_passes_one_wavelet_a_cycle(simulate: Simulate) -> None:
    """An operation takes a wavelet from each side in every beat; they come by one ramp."""
    both = Vector("add", floats(9), In(0, 0), In(1, 1), extents=(9,))
    paints = [{0: switch("C>E")}, {0: switch("W>C"), 1: switch("E>C")}, {1: switch("C>W")}]
    outcome = simulate(line([(send(9),), (both,), (send(9, 1),)], paints), plain())
    assert outcome.cycles == broadcast_line(18, 2)


# Threads and the datapath


def test_an_operation_on_memory_takes_its_set_up_and_its_elements(simulate: Simulate) -> None:
    m = floats(8)
    for loops, extents, cycles in ((0, (4, 2), 3 + 2.5), (1, (4, 2), 4 * (3 + 2.5)), (2, (4, 2), 8 * (3 + 2.5))):
        op = Vector("add", Memory(0, (2, 1)), Memory(0, (2, 1)), Immediate(1.0), extents=extents, loops=loops)
        timed = Vector(op.function, op.target, op.a, op.b, None, extents, loops, 3, 2.5)
        outcome = simulate(line([(timed, timed)], [{}]), plain(), memory=numbers(1, 1))
        assert outcome.cycles == 2 * ceil(cycles)
        assert outcome.busy[0, 0] == outcome.worked == outcome.cycles
        before = numbers(1, 1).view(np.float32)[0, 0, :8]
        assert words(outcome, 0, 0, 8) == (before + 2).tolist()
    assert m.strides == (1,)


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
