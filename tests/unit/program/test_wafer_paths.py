"""Paths of wavelets over a line: exactly the links between who sends and who receives."""

from random import Random

import pytest

from undiced.program.wafer.paths import Passage, Port, always_fits, fits, heard, positions, shares_path, sum_path
from undiced.program.wafer.tree import Level, Tree, joins, roots

STEP = {Port.LOWER: -1, Port.HIGHER: 1}
FROM = {-1: Port.HIGHER, 1: Port.LOWER}


def any_tree(r: Random, levels: int = 4) -> Tree:
    span = left = r.randint(1, 90)
    found: list[Level] = []
    while left > 1 or not found:
        size = r.randint(2, max(2, left)) if len(found) < levels - 1 else left
        found.append(Level(size, r.random() < 0.5))
        left = -(-left // size)
    return Tree(span, tuple(found), r.choice([1, 1, 2, 3, 5]))


def sends(tree: Tree, which: int) -> list[tuple[int, int, int]]:
    """(level, sender, receiver) of every hop."""
    out = []
    for number, level in enumerate(joins(tree, which)):
        for join in level:
            for arm in join.arms:
                following = [join.root] * len(arm) if join.star else [*arm[1:], join.root]
                out += [(number, *hop) for hop in zip(arm, following, strict=True)]
    return out


def walk(passages: list[tuple[Passage, ...]], level: int, sender: int) -> tuple[int, set[tuple[int, Passage]]]:
    """Where wavelets of a level end that a core sends, and what they pass."""
    [at_sender] = [p for p in passages[sender] if p.level == level and p.source is Port.CORE]
    at, passage, passed = sender, at_sender, {(sender, at_sender)}
    while passage.targets != (Port.CORE,):
        [target] = passage.targets
        at += STEP[target]
        came = FROM[STEP[target]]
        same = [p for p in passages[at] if (p.level, p.color, p.source) == (level, at_sender.color, came)]
        [passage] = same
        passed.add((at, passage))
    return at, passed


@pytest.mark.parametrize("seed", range(10))
def test_wavelets_of_a_sum_pass_the_links_between_sender_and_receiver_and_no_others(seed: int) -> None:
    r = Random(seed)
    for _ in range(5):
        tree = any_tree(r)
        for which in range(tree.slices):
            passages = [sum_path(tree, which, place) for place in range(tree.span)]
            passed: set[tuple[int, Passage]] = set()
            for level, sender, receiver in sends(tree, which):
                end, links = walk(passages, level, sender)
                assert end == receiver, (tree, level, sender)
                passed |= links
            assert passed == {(place, p) for place, path in enumerate(passages) for p in path}, tree


def test_a_core_hears_all_of_a_slice_on_one_color_and_sends_on_the_other() -> None:
    r = Random(7)
    for _ in range(20):
        tree = any_tree(r)
        for which in range(tree.slices):
            for place in range(tree.span):
                path = sum_path(tree, which, place)
                ins = {p.color for p in path if p.targets == (Port.CORE,)}
                outs = [p.color for p in path if p.source is Port.CORE]
                assert len(ins) <= 1 and not ins & set(outs)
                assert len(outs) == (place != roots(tree)[which])  # so one output queue a slice does


def test_a_root_hears_its_arms_in_the_order_in_which_it_adds_them() -> None:
    r = Random(11)
    for _ in range(20):
        tree = any_tree(r)
        for which in range(tree.slices):
            for number, level in enumerate(joins(tree, which)):
                for join in level:
                    path = sum_path(tree, which, join.root)
                    heard_from = [p.source for p in path if p.level == number and p.targets == (Port.CORE,)]
                    sides = [Port.LOWER if arm[0] < join.root else Port.HIGHER for arm in join.arms]
                    assert heard_from == sides


def most(tree: Tree) -> int:
    return max(positions(sum_path(tree, which, place), 4) for which in range(tree.slices) for place in range(tree.span))


def test_four_switch_positions_do_for_four_levels() -> None:
    r = Random(3)
    for _ in range(150):
        tree = any_tree(r)
        assert most(tree) <= 4, tree
        assert always_fits(tree, 4)


@pytest.mark.parametrize(
    ("tree", "count"),
    [
        (Tree(8, (Level(8),)), 2),
        (Tree(2, (Level(2),)), 1),
        (Tree(8, (Level(8, star=True),)), 2),
        (Tree(39, (Level(2), Level(2), Level(2), Level(5))), 3),
    ],
)
def test_some_trees_need_fewer(tree: Tree, count: int) -> None:
    assert fits(tree, count) and not fits(tree, count - 1)


@pytest.mark.parametrize(("span", "sender"), [(1, 0), (5, 0), (5, 4), (9, 3)])
def test_what_a_core_sends_reaches_every_core_of_its_line_once(span: int, sender: int) -> None:
    reached = [0] * span
    for direction in (-1, 1):
        at, passage = sender, heard(sender, span, sender)
        out = Port.LOWER if direction < 0 else Port.HIGHER
        while out in passage.targets:
            at += direction
            passage = heard(sender, span, at)
            assert passage.source is FROM[direction]
            reached[at] += Port.CORE in passage.targets
    assert reached == [int(place != sender) for place in range(span)]


def test_routers_hear_the_roots_in_their_order_by_four_positions_at_most() -> None:
    r = Random(5)
    for _ in range(30):
        tree = any_tree(r)
        places = sorted(set(roots(tree)))
        for place in range(tree.span):
            path = shares_path(tree, place)
            wanted = [heard(root, tree.span, place) for root in places]
            if place in places[:-1]:
                wanted.insert(places.index(place) + 1, Passage(0, 0, Port.CORE, (Port.HIGHER,)))
            assert list(path) == wanted
            assert positions(path, 4) <= 4


def test_roots_are_where_the_last_level_joins() -> None:
    r = Random(7)
    for tree in (any_tree(r) for _ in range(300)):
        assert roots(tree) == tuple(joins(tree, which)[-1][0].root for which in range(tree.slices))
