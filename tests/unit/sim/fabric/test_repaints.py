"""Routes that cores write over while a program runs: when they hold, what waits for them, and what must not be on its
way."""

from __future__ import annotations

import pytest
from support.fabric_programs import (
    CORE,
    WEST,
    Script,
    Simulate,
    line,
    numbers,
    plain,
    receive,
    send,
    switch,
    words,
)
from support.fabric_simulators import SIMULATORS, native
from support.fabric_twin import twin
from support.fabric_twin_router import Underway

from undiced.core.errors import ProgramFileError
from undiced.sim.fabric.microops import Bind, Delay, Fork, Repaint, Wait
from undiced.sim.fabric.routes import Control, Port, Switch

EAST_ON = [{0: switch("C>E")}, {0: switch("W>CE")}, {0: switch("W>C")}]


@pytest.mark.parametrize("simulate", SIMULATORS)
@pytest.mark.parametrize("cycles", [0, 1, 40])
def test_a_route_holds_from_the_cycle_behind_its_registers(simulate: Simulate, cycles: int) -> None:
    """The middle router takes from its core alone until that writes another route; what came is there."""
    scripts: list[Script] = [(send(2),), (Delay(20), Repaint(0, switch("W>E"), cycles=cycles)), (receive(2),)]
    paints = [{0: switch("C>E")}, {0: switch("C>E")}, {0: switch("W>C")}]
    outcome = simulate(line(scripts, paints), plain(), memory=numbers(3, 1))
    written = 20 + cycles
    assert outcome.finished[0].tolist() == [2, written, written + 1 + 1 + 2 + 2]
    assert words(outcome, 2, 0, 2) == words(outcome, 0, 0, 2)


@pytest.mark.parametrize("simulate", SIMULATORS)
def test_a_color_goes_there_and_back_by_routes_of_one_and_the_other(simulate: Simulate) -> None:
    """A multicast to the east, then one to the west, on one color: the second waits where it is early."""
    back = [switch("E>C"), switch("E>CW"), switch("C>W")]
    scripts: list[Script] = [
        (send(3), Bind(0, 0), Delay(50), Repaint(0, back[0]), receive(3, address=16)),
        (receive(3), Delay(400), Repaint(0, back[1], cycles=10), receive(3, address=16)),
        (receive(3, address=16), Repaint(0, back[2]), send(3, address=32)),
    ]
    outcome = simulate(line(scripts, EAST_ON), plain(), memory=numbers(3, 1))
    assert outcome.status == "finished" and outcome.cycles > 400
    sent = words(outcome, 2, 0, 3, 32)
    assert words(outcome, 0, 0, 3, 16) == words(outcome, 1, 0, 3, 16) == sent
    assert words(outcome, 2, 0, 3, 16) == words(outcome, 0, 0, 3)
    assert outcome.loads[0, :, WEST].tolist() == [0, 3, 3] and outcome.loads[0, :, CORE].tolist() == [3, 6, 3]


@pytest.mark.parametrize("simulate", SIMULATORS)
def test_a_written_switch_has_positions_and_stands_at_the_first(simulate: Simulate) -> None:
    scripts: list[Script] = [
        (
            Repaint(0, switch("C>C", "C>E"), cycles=3),
            Fork(1, (receive(2, address=16),)),
            send(2, control=Control()),
            send(2),
            Wait((1,)),
        ),
        (receive(2, address=16),),
    ]
    paints = [{0: switch("C>E", "C>E", "C>E")}, {0: switch("W>C")}]
    outcome = simulate(line(scripts, paints), plain(), memory=numbers(2, 1))
    assert outcome.status == "finished"
    assert words(outcome, 0, 0, 2, 16) == words(outcome, 1, 0, 2, 16) == words(outcome, 0, 0, 2)


@pytest.mark.parametrize("simulate", SIMULATORS)
def test_without_a_way_what_comes_waits_for_good(simulate: Simulate) -> None:
    scripts: list[Script] = [(Delay(30), send(2)), (Repaint(0, None),), ()]
    outcome = simulate(line(scripts, EAST_ON), plain())
    assert outcome.status == "deadlock"
    assert {(each.x, each.y) for each in outcome.waiting} == {(1, 0)}


def caught(scripts: list[Script], paints: list[dict[int, Switch]]) -> tuple[tuple[int, int], int, Port]:
    """Where both simulators find what is on its way."""
    with pytest.raises(Underway) as slow:
        twin(line(scripts, paints), plain())
    found = slow.value
    what = f"color {found.color} from the {found.port.name.lower()} is on its way"
    told = rf"core \({found.place[0]}, 0\), the main thread in repaint of .*{what}"
    for threads in (1, 2):
        with pytest.raises(ProgramFileError, match=told):
            native(line(scripts, paints), plain(), threads=threads)
    return found.place, found.color, found.port


def test_what_is_on_its_way_by_the_old_route_is_told_with_its_router() -> None:
    """In a router, whose core hears nothing yet; in an output queue; and where a later position would let it pass."""
    late: list[Script] = [(send(9),), (Delay(30), Repaint(0, switch("E>C"))), (Repaint(0, switch("C>W")),)]
    assert caught(late, EAST_ON) == ((1, 0), 0, Port.WEST)
    own: list[Script] = [(send(9), Repaint(0, switch("E>C"))), (Delay(99), receive(9)), (Delay(99), receive(9))]
    assert caught(own, EAST_ON) == ((0, 0), 0, Port.CORE)
    later: list[Script] = [(send(1),), (Delay(30), Repaint(0, switch("W>C"))), ()]
    assert caught(later, [{0: switch("C>E")}, {0: switch("C>E", "W>E")}, {0: switch("W>C")}]) == ((1, 0), 0, Port.WEST)


def test_other_colors_and_what_has_passed_hold_nothing_back() -> None:
    scripts: list[Script] = [
        (send(9), Bind(0, 0), Repaint(1, switch("C>E"))),
        (Delay(60), Repaint(1, None), receive(9)),
        (receive(9),),
    ]
    outcome = native(line(scripts, [{**each, 1: EAST_ON[n][0]} for n, each in enumerate(EAST_ON)]), plain())
    assert outcome.status == "finished"


@pytest.mark.parametrize(
    ("route", "side"),
    [(switch("C>W"), "west"), (switch("C>N"), "north")],
)
def test_a_route_that_leads_nowhere_is_refused_before_anything_runs(route: Switch, side: str) -> None:
    """In a microthread's script, too."""
    with pytest.raises(ProgramFileError) as refused:
        native(line([(Delay(9), Fork(1, (Repaint(0, route),))), ()], [{}, {}]), plain())
    assert f"color 0 leaves (0, 0) to the {side}, where the mesh ends" in str(refused.value)


def test_a_way_may_lead_to_a_router_that_takes_it_later_but_not_to_one_that_never_does() -> None:
    later = line([(send(2),), (Delay(9), Repaint(0, switch("W>C")), receive(2))], [{0: switch("C>E")}, {}])
    assert native(later, plain()).status == "finished"
    never = line([(send(2),), (Delay(9), Repaint(0, switch("C>W")), receive(2))], [{0: switch("C>E", "E>C")}, {}])
    with pytest.raises(ProgramFileError, match=r"leaves \(0, 0\) to the east, where the router of \(1, 0\) never"):
        native(never, plain())


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ProgramFileError, match="color 24"):
        native(line([(Repaint(24, None),)], [{}]), plain())
    with pytest.raises(ProgramFileError, match="positions"):
        native(line([(Repaint(0, switch(*["C>C"] * 5)),)], [{}]), plain())
