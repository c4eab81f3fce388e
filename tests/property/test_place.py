"""Placement and partition on random models and machines: nothing overlaps, leaves the mesh or overfills a core."""

from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mesh_configs import DENSE

from undiced.compiler.wafer.partition import Block, fastest_fill, partition
from undiced.compiler.wafer.place import Tiling
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.splits import splits_of
from undiced.compiler.wafer.task import Options
from undiced.compiler.wafer.trees import tree_finder
from undiced.core.errors import CompileError
from undiced.machine import lines, toy
from undiced.model import build_config
from undiced.program import Bounds, Rect
from undiced.program.wafer.tree import Level, Tree, root_place

LINK, FINDER = toy(8, 8).link, tree_finder(toy(8, 8))


@st.composite
def models(draw):
    kv_heads = draw(st.integers(1, 4))
    return replace(
        DENSE,
        layers=draw(st.integers(1, 12)),
        dim=draw(st.integers(8, 300)),
        heads=kv_heads * draw(st.integers(1, 4)),
        kv_heads=kv_heads,
        head_dim=draw(st.sampled_from([8, 16, 32])),
        ffn=draw(st.integers(8, 600)),
        vocab=draw(st.integers(16, 2000)),
        qk_norm=draw(st.sampled_from(["none", "weight"])),
    )


def touches(a: Rect, b: Rect) -> bool:
    """Whether two rectangles share an edge."""
    beside = a.x + a.width == b.x or b.x + b.width == a.x
    above = a.y + a.height == b.y or b.y + b.height == a.y
    share_y = a.y < b.y + b.height and b.y < a.y + a.height
    share_x = a.x < b.x + b.width and b.x < a.x + a.width
    return (beside and share_y) or (above and share_x)


@settings(max_examples=4, deadline=None)
@given(models(), st.integers(8, 24), st.integers(8, 24), st.sampled_from([16, 48, 256]), st.integers(1, 4))
def test_programs_are_legal(config, columns, rows, sram_kib, batch):
    machine = toy(columns, rows, sram_kib * 1024)
    try:
        program = compile_graph(build_config(config), machine, Options(bounds=Bounds(batch, 64)))
    except CompileError as error:
        assert error.remedy
        return
    rects = {(region.wafer, region.rect): None for region in program.regions}
    for _, rect in rects:
        assert rect.x >= 0 and rect.y >= 0
        assert rect.x + rect.width <= columns and rect.y + rect.height <= rows
    for (chip, a), (other, b) in combinations(rects, 2):
        assert chip != other or not a.meets(b)
    for (chip, a), (other, b) in pairwise(rects):
        assert other == chip + 1 or (other == chip and touches(a, b))
    assert dict(program.facts)["sram_bytes_max_per_core"] <= sram_kib * 1024
    assert dict(program.facts)["max_context_tokens"] >= 64


def test_cores_that_hold_nothing_of_a_layer():
    small = replace(DENSE, layers=1, dim=8, heads=1, kv_heads=1, head_dim=8, ffn=8, vocab=16)
    program = compile_graph(build_config(small), toy(8, 16), Options(bounds=Bounds(1, 64)))
    assert dict(program.facts)["max_context_tokens"] >= 64


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_serpentines_touch(width, height, across, down, upright):
    tiling = Tiling.of(width * across, height * down, width, height, upright)
    rects = [tiling.place(index) for index in range(2 * tiling.count)]
    for (chip, a), (other, b) in pairwise(rects):
        assert other == chip + 1 or touches(a, b)
    assert len({rect for chip, rect in rects if chip == 0}) == tiling.count


blocks = st.lists(
    st.tuples(st.integers(1, 20), st.integers(1, 30)).map(lambda b: Block("x", 0, b[0], float(b[1]))),
    min_size=1,
    max_size=8,
).map(tuple)


def brute_force(items, capacity, regions):
    """The slowest region of the best of all contiguous cuts, or None."""
    best = None
    for count in range(min(regions, len(items))):
        for cuts in combinations(range(1, len(items)), count):
            parts = [items[a:b] for a, b in pairwise((0, *cuts, len(items)))]
            if all(sum(b.bytes_per_core for b in part) <= capacity for part in parts):
                slowest = max(sum(b.cycles for b in part) for part in parts)
                best = slowest if best is None else min(best, slowest)
    return best


def slowest(items, ends):
    return max(sum(b.cycles for b in items[a:b]) for a, b in pairwise((0, *ends)))


@settings(deadline=None)
@given(blocks, st.integers(1, 60), st.integers(1, 6))
def test_partition_is_exact(items, capacity, regions):
    want = brute_force(items, capacity, regions)
    for method in (partition, fastest_fill):
        ends = method(items, capacity, regions)
        if want is None:
            assert ends is None
            continue
        assert ends[-1] == len(items) and len(ends) <= regions
        assert all(sum(b.bytes_per_core for b in items[a:b]) <= capacity for a, b in pairwise((0, *ends)))
        assert abs(slowest(items, ends) - want) < 1e-6


@settings(deadline=None, max_examples=30)
@given(
    st.integers(2, 1100),
    st.integers(1, 4),
    st.lists(st.integers(1, 200), min_size=1, max_size=4).map(lambda p: tuple((w, 1.0) for w in sorted(p))),
)
def test_trees_join_the_line_and_beat_plain_chains(span, slices, payloads):
    tree = FINDER.best(span, slices, payloads)
    assert tree.complete and (tree.span, tree.slices) == (span, slices)
    chain = Tree(span, (Level(span),), slices)
    cycles = [sum(lines.slice_cost(LINK, t, 0, count).cycles for count, _ in payloads) for t in (tree, chain)]
    assert cycles[0] <= cycles[1] + 1e-6


@settings(deadline=None)
@given(st.integers(1, 1200), st.integers(1, 4), st.integers(1, 100), st.data())
def test_plain_arithmetic_equals_the_costs(span, slices, count, data):
    splits = splits_of(span)
    way = data.draw(st.integers(0, len(splits.levels) - 1))
    stars = data.draw(st.lists(st.booleans(), min_size=4, max_size=4))
    levels = tuple(map(Level, splits.sizes[way, : splits.levels[way]].tolist(), stars))
    tree = Tree(span, levels, slices)
    assert tree.complete
    found = FINDER.level_cycles(span, slices, count)
    costs = lines.level_costs(LINK, tree, 0, count)
    assert [found[star][way, n] for n, star in enumerate(stars) if splits.members[way, n] > 1] == pytest.approx(
        [cost.cycles for cost in costs]
    )


@given(st.integers(1, 60), st.integers(1, 8))
def test_links_of_a_star_are_crossed_as_often_as_its_members_are_beyond_them(size, slices):
    roots = [root_place(size, slices, which, 0) for which in range(slices)]
    ways = (
        sum((member < link <= root, member >= link > root)[way] for root in roots for member in range(size))
        for link in range(1, size)
        for way in (0, 1)
    )
    assert lines.crossings(size, 1, slices) == max(ways, default=0)
