"""What our mapping's streams claim about time: each step towards them pays, what is hidden has where to hide."""

from dataclasses import astuple, replace
from itertools import pairwise
from math import ceil

import pytest

from undiced.compiler.wafer.compile import compile_wafer
from undiced.compiler.wafer.layer import LayerWriter
from undiced.compiler.wafer.memory import attention_bytes, capacity, free_attention_bytes, part_bytes
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.partition import Block, fill, partition
from undiced.compiler.wafer.reduce import tree_colors, tree_finder
from undiced.compiler.wafer.resolve import dims_of
from undiced.compiler.wafer.route import route_streams
from undiced.compiler.wafer.scheme import Scheme
from undiced.compiler.wafer.shard import Shard
from undiced.compiler.wafer.vector_math import RSQRT_OPERATIONS
from undiced.machine import find_machine
from undiced.machine.collective import (
    AHEAD,
    SENDER_GAP,
    Level,
    covers,
    crossings,
    level_reduce,
    multicast,
    pack_levels,
    slices_of,
    unpack_levels,
    wavelets_of,
)
from undiced.machine.cost import CostModel
from undiced.machine.instruction import Load, instr_cost, stream_costs
from undiced.machine.vector import COUNT_PER_POSITION, KIND_MASK, OVERLAP, Kind, vector_cost
from undiced.program import Bounds, Op
from undiced.sim.analytic import Step, simulate

WSE3 = find_machine("wse3")
MODEL = CostModel.of(WSE3)
SHARD = Shard.of(dims_of("llama-3.3-70b"), 745, 585)
SCHEME = Scheme(slices=5, band_slices=2)
POSITIONS = SHARD.positions(4096)
PLAIN = Scheme(
    wire="fp32",
    accumulator="fp32-cached",
    first_writes=False,
    norms_ahead=False,
    half_silu=False,
    early=False,
    slices=3,
    slice_rows=False,
    band_slices=0,
)
STEPS = (
    {},
    {"slice_rows": True, "slices": 5},
    {"band_slices": 4},
    {"early": True},
    {"norms_ahead": True},
    {"first_writes": True},
    {"wire": "mixed"},
    {"accumulator": "fp16-cached"},
    {"half_silu": True},
)
TREE = pack_levels((Level(10, True), Level(5, True), Level(15, True)))
FMAS = (Kind.FMA16, Kind.FMA32, Kind.FMA16_CACHED, Kind.FMA32_CACHED)


def streams(scheme=SCHEME, shard=SHARD):
    writer = LayerWriter(shard, scheme, MODEL, POSITIONS)
    routed, colors = route_streams((writer.attention(), writer.dense_ffn()), scheme, MODEL, POSITIONS, 21, {})
    assert colors <= 21
    return routed


def ladder():
    scheme = PLAIN
    for change in STEPS:
        scheme = replace(scheme, **change)
        options = Options(bounds=Bounds(1, 4096), wafers=4, scheme=scheme, region=(745, 585))
        program = compile_wafer("llama-3.3-70b", WSE3, options)
        yield simulate(program, WSE3, Step(context=4096, clock_hz=1.1e9)).token_cycles


def test_every_step_of_the_70b_ladder_pays():
    cycles = list(ladder())
    assert all(after < before for before, after in pairwise(cycles)), cycles
    assert cycles[0] / cycles[-1] > 1.15


def test_norm_sums_that_go_ahead_arrive_before_the_sums_that_they_scale():
    """Sum of squares, its root and the way to the other roots, against the product and its sums, by closed forms."""
    for stream in streams():
        (at,) = (i for i, instr in enumerate(stream.instrs) if instr.p[5:6] and instr.p[5] & AHEAD)
        ahead, sums = stream.instrs[at], stream.instrs[at + 1]
        assert ahead.op is sums.op is Op.REDUCE
        assert ahead.p[6] == sums.p[6], "over the first of the same trees"
        product, before = 0.0, at - 1
        while stream.instrs[before].note == sums.note:
            product, before = product + instr_cost(MODEL, stream.instrs[before], Load()).cycles, before - 1
        slices, levels = slices_of(sums.p[5]), unpack_levels(sums.p[4], sums.p[5])
        share = ceil(wavelets_of(MODEL, sums.p[1], sums.p[2]) / slices)
        root = min(
            vector_cost(MODEL, Kind.MUL, RSQRT_OPERATIONS, 1, 4).cycles,
            vector_cost(MODEL, Kind.TRANSCENDENTAL, 2, 1, 4).cycles,
        )
        known = level_reduce(MODEL, 745, levels, 1).cycles + root + multicast(MODEL, 1, slices).cycles
        assert known < product + level_reduce(MODEL, 745, levels, share).cycles


def test_a_product_starts_no_earlier_than_its_slices_arrive():
    """Inputs multiplied under a multicast: at most what the gap between two slices leaves time for, slice by slice."""
    found = 0
    for stream in streams():
        for last, instr in pairwise(stream.instrs):
            early = last.op is Op.MULTICAST and instr.op is Op.VECTOR and instr.p[2] & OVERLAP
            if not early or Kind(instr.p[2] & KIND_MASK) not in FMAS:
                continue
            sums = next(i for i in reversed(stream.instrs[: stream.instrs.index(last)]) if i.op is Op.REDUCE)
            slices = slices_of(sums.p[5])
            share = wavelets_of(MODEL, sums.p[1] // slices, sums.p[2])
            gap = share / MODEL.link_rate + MODEL.step_software
            each = vector_cost(MODEL, Kind.FMA16_CACHED, 1, SHARD.d, 2).cycles
            assert instr.p[0] * each <= (slices - 1) * gap
            found += 1
    assert found == 2, "o and down"


def test_every_input_of_a_product_is_multiplied_once():
    for stream, note, inputs in zip(streams(), ("o", "down"), (SHARD.q, SHARD.f), strict=True):
        vectors = [i for i in stream.instrs if i.note == note and i.op is Op.VECTOR]
        assert sum(i.p[0] for i in vectors if Kind(i.p[2] & KIND_MASK) in FMAS) == inputs


def test_scores_and_values_are_charged_for_every_position_and_column():
    attention, _ = streams()
    for note in ("scores", "values"):
        fmas = [i for i in attention.instrs if i.note == note and i.op is Op.VECTOR and i.p[2] & COUNT_PER_POSITION]
        assert sum(i.p[0] * i.p[1] for i in fmas) == SHARD.q


def test_exponentials_travel_in_32_bits_and_the_rest_of_mixed_wires_in_16():
    attention, ffn = streams()
    sizes = {(i.note, i.op): i.p[2] for i in attention.instrs + ffn.instrs if i.op in (Op.REDUCE, Op.MULTICAST)}
    assert sizes["values", Op.REDUCE] == sizes["softmax", Op.MULTICAST] == 4
    for exact in ("attention norm", "ffn norm"):
        assert sizes[exact, Op.REDUCE] == 4
    for narrow in ("q, k, v", "scores", "up, gate"):
        assert sizes[narrow, Op.REDUCE] == 2


def test_a_sliced_multicast_costs_each_further_sender_a_control_wavelet_and_its_way():
    one, three = (multicast(MODEL, 50, 300, senders) for senders in (1, 3))
    assert three.cycles - one.cycles == pytest.approx(2 * (MODEL.ramp + 1 + SENDER_GAP * MODEL.hop))
    assert three.overhead == one.overhead, "one stream arrives"


def test_slices_take_two_colors_a_tree_and_share_the_multicast():
    assert [tree_colors(s) for s in (0, 1, 2, 5)] == [3, 3, 5, 11]


def test_softmax_scales_with_the_positions_a_step_attends():
    attention, _ = streams()
    short, long = (sum(c.cycles for _, c in stream_costs(MODEL, attention.instrs, Load(positions=p))) for p in (6, 12))
    assert long > short + 6 * SHARD.q / MODEL.lanes_16bit


def test_columns_without_heads_take_the_feed_forward_columns_that_are_left_over():
    assert SHARD.free_columns() == 585 - 8 * 64
    beside, free = SHARD.beside_attention(), SHARD.f
    assert beside < free
    heads = SHARD.columns - SHARD.free_columns()
    assert heads * beside + SHARD.free_columns() * free >= SHARD.dims.ffn
    options = Options()
    own = attention_bytes(SHARD, options) + 8 * part_bytes(SHARD, options, 0)
    spare = free_attention_bytes(SHARD, options) + 8 * part_bytes(SHARD, options, 0, free=True)
    assert spare < own < attention_bytes(SHARD, options) + 8 * part_bytes(SHARD, options, 0, free=True)
    assert capacity(WSE3, SHARD, options) > own


def test_both_kinds_of_core_bound_what_a_region_holds():
    blocks = (Block("attention", 0, 8, 1.0, 1), *[Block("ffn", 0, 3, 1.0, 4)] * 5)
    assert fill(blocks, 17) == (4, 6), "cores with heads are full first"
    assert fill(blocks[1:], 17) == (4, 5), "without attention the others are"
    for region in (fill(blocks, 17), partition(blocks, 17, 2)):
        start = 0
        for end in region:
            assert all(sum(b.sizes[i] for b in blocks[start:end]) <= 17 for i in range(2))
            start = end


@pytest.mark.parametrize(("size", "slices"), [(5, 2), (7, 4), (10, 3), (12, 12)])
def test_crossings_count_the_busiest_link_of_a_first_level_with_its_roots_spread(size, slices):
    roots = [(2 * i + 1) * size // (2 * slices) for i in range(slices)]
    assert len(set(roots)) == slices
    load = {}
    for root in roots:
        for member in range(size):
            for link in range(min(member, root), max(member, root)):
                load[link, member < root] = load.get((link, member < root), 0) + 1
    assert crossings(size, 1, slices) == max(load.values())


def test_slices_of_a_later_level_share_the_links_to_their_roots():
    assert crossings(15, 50, 3) == 3 * 7
    assert crossings(3, 1, 4) == 4, "too few members to spread the roots over"
    links = replace(MODEL, star_member=0.0)  # else the roots' software hides them
    one, many = (level_reduce(links, 745, unpack_levels(*TREE), 13 * s, s) for s in (1, 4))
    assert many.cycles > one.cycles + 3 * (13 / MODEL.link_rate + MODEL.step_software)


def test_four_levels_survive_their_packing():
    levels = (Level(5, True), Level(2), Level(5, True), Level(15, True))
    assert unpack_levels(*pack_levels(levels)) == levels
    assert unpack_levels(*pack_levels(levels[:3])) == levels[:3]
    found = unpack_levels(*astuple(tree_finder(MODEL).levels(745, ((7, 1.0), (13, 1.0)), 3, deep=True)))
    assert covers(745, found)
