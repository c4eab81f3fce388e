"""Placement and partition on random models and machines: nothing overlaps, leaves the mesh or overfills a core."""

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from undiced.compiler.wafer.compile import compile_wafer
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.published.dims import Dims
from undiced.compiler.wafer.reduce import tree_finder

from undiced.compiler.wafer.partition import Block, fastest_fill, partition
from undiced.compiler.wafer.place import Tiling, overlap
from undiced.core.errors import CompileError
from undiced.machine import toy
from undiced.machine.collective import Level, allreduce, covers, level_cycles, level_reduce, unpack_levels
from undiced.machine.cost import CostModel
from undiced.program import Bounds, Rect

MODEL = CostModel.of(toy(8, 8))


@st.composite
def models(draw):
    kv_heads = draw(st.integers(1, 4))
    group = draw(st.integers(1, 4))
    head_dim = draw(st.sampled_from([8, 16, 32]))
    return Dims(
        "random",
        draw(st.integers(1, 12)),
        draw(st.integers(8, 300)),
        kv_heads * group,
        kv_heads,
        head_dim,
        draw(st.integers(8, 600)),
        draw(st.integers(16, 2000)),
        draw(st.booleans()),
    )


def touches(a: Rect, b: Rect) -> bool:
    """Whether two rectangles share an edge."""
    beside = a.x + a.width == b.x or b.x + b.width == a.x
    above = a.y + a.height == b.y or b.y + b.height == a.y
    share_y = a.y < b.y + b.height and b.y < a.y + a.height
    share_x = a.x < b.x + b.width and b.x < a.x + a.width
    return (beside and share_y) or (above and share_x)


@settings(max_examples=25, deadline=None)
@given(models(), st.integers(8, 40), st.integers(8, 40), st.sampled_from([16, 48, 256]), st.integers(1, 4))
def test_programs_are_legal(dims, columns, rows, sram_kib, batch):
    machine = toy(columns, rows, sram_kib * 1024)
    try:
        program = compile_wafer(dims, machine, Options(bounds=Bounds(batch, 64)))
    except CompileError as error:
        assert error.remedy
        return
    rects = {(region.wafer, region.rect): None for region in program.regions}
    for _, rect in rects:
        assert rect.x >= 0 and rect.y >= 0
        assert rect.x + rect.width <= columns and rect.y + rect.height <= rows
    for (chip, a), (other, b) in combinations(rects, 2):
        assert chip != other or not overlap(a, b)
    for (chip, a), (other, b) in pairwise(rects):
        assert other == chip + 1 or (other == chip and touches(a, b))
    assert program.fact("sram_bytes_max_per_core") <= sram_kib * 1024
    assert program.fact("max_context_tokens") >= 64


def test_cores_that_hold_nothing_of_a_layer():
    program = compile_wafer(Dims("small", 1, 8, 1, 1, 8, 8, 16, False), toy(8, 16), Options(bounds=Bounds(1, 64)))
    assert program.fact("max_context_tokens") >= 64


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


@settings(deadline=None)
@given(
    st.integers(2, 1100),
    st.lists(st.integers(1, 200), min_size=1, max_size=4).map(lambda p: tuple((w, 1.0) for w in sorted(p))),
)
def test_trees_join_the_line_and_beat_plain_chains(span, payloads):
    tree = tree_finder(MODEL).levels(span, payloads)
    levels = unpack_levels(tree.groups, tree.algorithm)
    assert covers(span, levels)
    if span < 1024:
        chain = sum(level_reduce(MODEL, span, (Level(span),), w).cycles for w, _ in payloads)
        best = sum(level_reduce(MODEL, span, levels, w).cycles for w, _ in payloads)
        assert best <= chain + 1e-6
    assert allreduce(MODEL, span, tree.groups, tree.algorithm, payloads[0][0]).cycles >= span // 2


@given(st.integers(2, 200), st.booleans(), st.integers(1, 100))
def test_plain_arithmetic_equals_the_costs(size, star, wavelets):
    level = Level(size, star)
    quick = level_cycles(MODEL, size, star, 1, wavelets)
    assert abs(quick - level_reduce(MODEL, size, (level,), wavelets).cycles) < 1e-6
