"""Reductions and multicasts at level 2: the bits of level 1, whatever the tree, the payload and the region."""

from dataclasses import replace
from math import prod
from random import Random

import numpy as np
import pytest
from support.fabric_movers import Movers

from undiced.core.errors import UnsupportedError
from undiced.machine import PRESETS
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.tree import Level, Tree, separate
from undiced.program.wafer.value import DType
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.courses import Pass, share_departures, sum_course
from undiced.sim.fabric.lower.sums import reduce
from undiced.sim.fabric.microops import Fork, In, Out
from undiced.sim.fabric.routes import COMMANDS_MAX, POSITIONS_MAX
from undiced.sim.fabric.simulate import simulate

WAFERS = {name: PRESETS[name]() for name in ("wse2", "wse3")}
STAR, CHAIN = Level(5, star=True), Level(5)


def any_tree(r: Random) -> Tree:
    levels, count = list[Level](), r.randint(1, 4)
    span = left = r.randint(2, 40 if count > 2 else 24)
    while left > 1:
        size = left if len(levels) == count - 1 else r.randint(2, min(6, left))
        levels.append(Level(size, r.random() < 0.4))
        left = -(-left // size)
    tree = Tree(span, tuple(levels), r.choice((1, 2, 3)))
    return tree if separate(tree) else Tree(span, tuple(levels))


def any_movers(r: Random) -> Movers:
    tree, whole = any_tree(r), r.random() < 0.3
    riders = 0 if whole else r.choice((0, 0, 0, 1, 2))
    size = r.randint(1, 11)
    return Movers(
        tree, size=size + riders, riders=riders, whole=whole,
        granule=1 if whole else r.choice([granule for granule in (1, 1, 2, 3) if granule <= size]),
        wire=r.choice(("f32", "f16")), terms=r.choice((DType.F32, DType.F16)),
        kept=r.choice((DType.F32, DType.F32, DType.F16)), operation=r.choice(("sum", "sum", "max")),
        axis=r.choice(list(Axis)), lines=r.choice((1, 1, 2)), across=r.choice((1, 2)), beyond=r.choice((0, 1)),
        turned=r.random() < 0.5, apart=tree.slices == 1 and r.random() < 0.3, times=r.choice((1, 2, 3)),
        wafer=WAFERS[r.choice(list(WAFERS))],
    )  # fmt: skip


def agrees(movers: Movers, seed: int = 0, hardware: Hardware | None = None) -> None:
    frame, outcome = movers.run(simulate, seed, hardware)
    assert outcome.status == "finished", (movers, outcome.waiting)
    assert not movers.differences(frame, outcome, seed), movers


@pytest.mark.parametrize("seed", range(8))
def test_level_2_computes_the_bits_of_level_1(seed: int) -> None:
    r = Random(seed)
    for number in range(8):
        agrees(any_movers(r), number)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 150))
def test_level_2_computes_the_bits_of_level_1_many_times(seed: int) -> None:
    r = Random(seed)
    for number in range(20):
        agrees(any_movers(r), number)


@pytest.mark.parametrize("level", [STAR, CHAIN])
@pytest.mark.parametrize("wire", ["f32", "f16"])
def test_links_that_never_pause_and_links_that_do_carry_the_same(level: Level, wire: str) -> None:
    movers = Movers(Tree(20, (level, Level(4)), 2), size=9, wire=wire, terms=DType(wire), times=2)
    for rate in (1.0, 8 / 9):
        agrees(movers, hardware=Hardware.of(movers.wafer, link_rate=rate))


def test_late_cores_change_no_bit() -> None:
    movers = Movers(Tree(24, (Level(4), Level(3, star=True), Level(2)), 2), size=7, times=3)
    for seed in range(4):
        frame, outcome = movers.run(
            lambda *args, seed=seed, **kwargs: simulate(*args, skew=300, jitter=40, seed=seed, **kwargs)
        )
        assert outcome.status == "finished", outcome.waiting
        assert not movers.differences(frame, outcome)


@pytest.mark.parametrize("levels", [(2, 2, 2, 4), (3, -4, 3), (-2, 5, -4), (32,), (-32,)])
def test_payloads_that_no_buffers_hold_pass_every_tree(levels: tuple[int, ...]) -> None:
    """A core that sends on while it hears is held up by those before it, who may wait for it. Negative: stars."""
    tree = Tree(32, tuple(Level(abs(size), size < 0) for size in levels))
    for slices in (1, 2):
        agrees(Movers(Tree(32, tree.levels, slices), size=120, across=1, times=2))


def test_sums_that_follow_each_other_need_nothing_between_them() -> None:
    """Who is done sends again while its root still hears others: what comes waits its turn in the routers."""
    movers = Movers(Tree(13, (Level(13),)), size=6, riders=1, across=1, times=6)
    agrees(movers)
    _, program = movers.program()
    assert [type(i) for i in movers.instructions] == [isa.Reduce]
    assert len(program.sections) == 7


def test_a_core_hears_one_color_of_a_slice_and_sends_on_one() -> None:
    movers = Movers(Tree(30, (Level(3), Level(5, star=True), Level(2)), 2), size=8)
    section = reduce(movers.instructions[0], movers.frame()).sections[0]  # type: ignore[arg-type]
    for _, script in section.blocks:
        for fork in script:
            assert isinstance(fork, Fork)
            operands = [operand for op in fork.script for operand in (op.a, op.target)]  # type: ignore[union-attr]
            heard = {(o.queue, o.color) for o in operands if isinstance(o, In)}
            sent = {(o.queue, o.color) for o in operands if isinstance(o, Out)}
            assert len(heard) <= 1 and len(sent) <= 1
            assert not {color for _, color in heard} & {color for _, color in sent}


def test_roles_are_few_and_paint_no_router_twice() -> None:
    """However long a line is, what differs from place to place is a matter of levels."""
    counts = []
    for groups in (40, 120):
        movers = Movers(Tree(5 * groups, (Level(5), Level(groups)), 2), across=1)
        paints = movers.program()[1].paints
        counts.append(len(paints))
        painted = [(x, paint.color) for paint in paints for places in paint.role.x for x in places]
        assert len(painted) == len(set(painted))
        assert all(len(paint.switch.ways) <= POSITIONS_MAX for paint in paints)
    assert counts[0] == counts[1] < 70


def test_a_root_hears_all_its_arms_and_levels_in_one_operation() -> None:
    movers = Movers(Tree(27, (Level(9, star=True), Level(3))), size=6)
    blocks = reduce(movers.instructions[0], movers.frame()).sections[0].blocks  # type: ignore[arg-type]
    [root] = [script for role, script in blocks if (13, 0) in role]
    moved, heard = root[0].script  # type: ignore[union-attr]
    assert moved.extents == (6,)
    assert heard.extents == (8 + 2, 6)
    assert heard.b.strides == heard.target.strides == (0, 1)


def test_what_a_root_hears_last_goes_on_as_it_comes() -> None:
    movers = Movers(Tree(27, (Level(9), Level(3))), size=6)
    blocks = reduce(movers.instructions[0], movers.frame()).sections[0].blocks  # type: ignore[arg-type]
    [root] = [script for role, script in blocks if (4, 0) in role]
    [first, last] = root[0].script  # type: ignore[union-attr]
    assert first.extents == last.extents == (6,)
    assert isinstance(last.a, In) and isinstance(last.target, Out)


def test_fewer_senders_than_roots_leave_switches_as_they_were() -> None:
    """With granules of 4 a value of 8 elements lies at two of three roots; one that is whole comes from the first."""
    tree = Tree(24, (Level(12), Level(2)), 3)
    agrees(Movers(tree, size=8, granule=4, times=3))
    agrees(Movers(tree, size=8, whole=True, times=3))


def test_a_line_of_one_core_sends_nothing() -> None:
    movers = Movers(Tree(1, (Level(1),)), size=3, lines=3)
    agrees(movers)
    assert not movers.program()[1].paints


def test_a_root_that_other_slices_pass_has_memory_for_each() -> None:
    """In a last group of one core all slices have that root."""
    agrees(Movers(Tree(10, (Level(3), Level(4)), 3), size=7, times=2))


def test_roots_too_far_apart_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="70 apart"):
        share_departures(Tree(140, (Level(140),), 2), 2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("operation", "shape"), [("two", (3, 2)), ("top", (2, 1)), ("top", (3, 5)), ("top", (3, 2, 4))]
)
def test_pairs_and_lists_are_joined_as_level_1_joins_them(seed: int, operation: str, shape: tuple[int, ...]) -> None:
    """Of equal values the lower id goes first, and nothing comes behind everything."""
    r = Random(seed)
    movers = replace(
        any_movers(r), operation=operation, shape=shape, size=prod(shape), whole=True, riders=0, granule=1,
        kept=DType.F32, wire="f32", terms=DType.F32,
    )  # fmt: skip
    agrees(movers, seed)


def test_joining_a_list_takes_a_scalar_step_an_entry() -> None:
    def cycles(count: int) -> int:
        return (
            Movers(Tree(2, (Level(2),)), 2 * count, across=1, operation="top", shape=(2, count), whole=True)
            .run(simulate)[1]
            .cycles
        )

    step = WAFERS["wse3"].core.scalar_step_cycles.value
    wavelets = 2 * 2 * 8  # of both movers
    assert cycles(12) - cycles(4) == pytest.approx(8 * step + wavelets, abs=wavelets)


@pytest.mark.parametrize("tree", [Tree(512, (Level(8),) * 3), Tree(755, (Level(9), Level(12), Level(7, star=True)))])
def test_what_passes_many_routers_tells_all_of_them_how_to_move_on(tree: Tree) -> None:
    """A command is for 15 routers at most, or for all that follow."""
    deeds = [deed for deeds in sum_course(tree, 0, POSITIONS_MAX).deeds for deed in deeds]
    controls = [deed.departure.control for deed in deeds if isinstance(deed, Pass) and deed.departure.control]
    assert all(len(control.commands) <= COMMANDS_MAX for control in controls)
    assert any(control.commands[-1][1] == 0 for control in controls)


def test_five_levels_may_need_more_positions_than_there_are() -> None:
    tree = Tree(320, (Level(4), Level(4), Level(4), Level(2), Level(3)))
    with pytest.raises(UnsupportedError, match=r"place \d+ of .* switch positions"):
        sum_course(tree, 0, 2)


def test_both_levels_are_compared_where_they_mean_something() -> None:
    """The comparison itself can fail: another seed's terms are another result."""
    movers = Movers(Tree(6, (Level(6),)), size=3)
    frame, outcome = movers.run(simulate, 1)
    assert len(movers.differences(frame, outcome, 2)) == np.prod(movers.grid) * 3 + 2 * 3
