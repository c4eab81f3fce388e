"""What switches, control wavelets, shared links and ramps of the fabric do to wavelets, and when."""

from __future__ import annotations

import pytest
from support.fabric_programs import (
    CORE,
    EAST,
    WEST,
    Script,
    Simulate,
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
from support.fabric_simulators import SIMULATORS
from support.line_formulas import broadcast_line

from undiced.sim.fabric.microops import Fork, In, Memory, Out, Send, Turn, Vector
from undiced.sim.fabric.routes import Command, Control

pytestmark = pytest.mark.parametrize("simulate", SIMULATORS)


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
    """Positions 0 and 1 of a router go east, 2 to the core: after two control wavelets it keeps the data."""
    sends = (send(2, control=Control(), address=8), Send(0, 0, Control()), send(2))
    paints = [{0: switch("C>E")}, {0: switch("W>E", "W>E", "W>C")}, {0: switch("W>C", ring=False)}]
    outcome = simulate(line([sends, (receive(2),), (receive(2),)], paints), plain(), memory=numbers(3, 1))
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
    """Two senders, 12 wavelets each, meet at a link: neither ends long before the other, and nothing is lost."""
    paints = [
        ((0, 0), 0, switch("C>E")),
        ((1, 0), 0, switch("W>E")),
        ((1, 0), 1, switch("C>E")),
        ((2, 0), 0, switch("W>C")),
        ((2, 0), 1, switch("W>C")),
    ]
    both: Script = (Fork(0, (receive(12),)), Fork(1, (receive(12, 1, 1, 64),)))
    section: dict[tuple[int, int], Script] = {(0, 0): (send(12),), (1, 0): (send(12, 1),), (2, 0): both}
    outcome = simulate(program(3, 1, paints, section), plain(depth=2))
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
