"""The map's data is the program's and the clock's: nothing is lost between them, and nothing is added."""

from itertools import pairwise

import pytest
from support.atlases import MADE, made, mapped

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.workload import work
from undiced.sim.atlas.atlas import atlas
from undiced.sim.atlas.contents import Role
from undiced.sim.atlas.deeds import WIRES, Who
from undiced.sim.atlas.journey import busiest
from undiced.sim.atlas.record import record
from undiced.sim.clock import time_step
from undiced.sim.outlook import outlook

EVERY = pytest.mark.parametrize("name", sorted(MADE))


@EVERY
def test_the_bottleneck_is_the_clocks(name):
    found, timing = mapped(name), time_step(*made(name))
    slow = [
        number for number, region in enumerate(timing.regions) if region.cycles == timing.initiation_interval_cycles
    ]
    assert list(found.bottlenecks) == slow and slow
    assert max(map(found.busy, range(len(found.places)))) == 1.0
    assert sum(map(found.share, range(len(found.places)))) == pytest.approx(1)


@EVERY
def test_a_tokens_spans_follow_each_other_and_add_up(name):
    found = mapped(name)
    assert found.spans[0].start == 0
    for before, after in pairwise(found.spans):
        assert after.start == pytest.approx(before.end)
    assert found.spans[-1].end == pytest.approx(found.timing.token_cycles)
    for number, place in enumerate(found.places):
        stay = sum(span.cycles for span in found.spans if span.place == number)
        assert stay == pytest.approx(place.timed.cycles)
    assert sum(busiest(found.spans).values()) == pytest.approx(found.timing.token_cycles)


@EVERY
def test_memory_is_what_the_compiler_planned(name):
    program, wafer = made(name)
    told = outlook(program, wafer, time_step(program, wafer), "prefill" if name == "prompt" else "decode")
    assert max(place.fill.needed for place in mapped(name).places) == told["sram_bytes_max_per_core"]
    for place in mapped(name).places:
        assert place.fill.free + place.fill.needed == max(place.fill.sram, place.fill.needed)


@EVERY
def test_every_layer_and_both_ends_are_somewhere(name):
    found, (program, _) = mapped(name), made(name)
    layers = {n for place in found.places for n in (*place.contents.whole, *(p.layer for p in place.contents.cut))}
    alone = name in ("waferllm", "prompt")  # benchmarks of a layer
    assert layers == ({0} if alone else set(range(int(dict(program.facts)["layers"]))))
    assert sum(place.contents.head for place in found.places) == (not alone)
    assert sum(place.contents.embedding for place in found.places) == (not alone)
    shares = {}
    for place in found.places:
        for part in place.contents.cut:
            shares[part.layer, part.role] = shares.get((part.layer, part.role), 0) + part.share
    assert set(shares.values()) <= {1}


def test_half_layers_and_parts_of_blocks_are_told():
    first, second = mapped("one wafer").places[:2]
    assert first.contents.lines == ("embedding", "layers 0-1", "layer 2: attention, 3/4 of feed-forward")
    assert second.contents.lines == ("layer 2: 1/4 of feed-forward", "layers 3-6", "layer 7: attention")
    assert second.contents.short == "2 f 1/4 · 3-6 · 7 a"


def test_a_head_that_shares_its_matrix_is_on_the_first_region():
    found = mapped("several wafers")
    assert found.places[0].contents.embedding and found.places[0].contents.head
    back = found.hand_overs[-1]
    assert back.returns and back.target == 0 and "hidden" in back.carried


def test_what_passes_along_a_line_is_what_the_clock_charges():
    program, _ = made("several wafers")
    found, step = mapped("several wafers"), Step(context=mapped("several wafers").context)
    for stream, deeds in zip(program.streams, found.deeds, strict=True):
        shares = Shares(values_of(program, stream), program.trees, step)
        movers = [work(i, shares).haul for i in stream.instructions if isinstance(i, isa.MOVERS)]
        assert [sum(haul.pieces) for haul in movers] == [deed.size_bytes for deed in deeds if deed.who in WIRES]
    counts = [found.carried(number, Who.SUMS) for number in range(len(found.places))]
    assert sum(count for count, _ in counts) == sum(
        isinstance(i, isa.Reduce) for turn in found.turns for i in program.streams[turn.stream].instructions
    )


def test_experts_have_a_name_of_their_own():
    assert Role.EXPERTS in {span.role for span in mapped("mixture").spans}


@EVERY
def test_hand_overs_join_one_place_to_the_next(name):
    found = mapped(name)
    visits = [span.place for span in found.spans]
    order = [visits[0], *(b for a, b in pairwise(visits) if a != b)]
    passed = [(each.source, each.target) for each in found.hand_overs if "token" not in each.carried]
    assert passed == list(pairwise(order))
    for each in found.hand_overs:
        assert each.size_bytes > 0 and each.cycles > 0
        assert each.off_wafer == (found.places[each.source].wafer != found.places[each.target].wafer)


def test_what_does_not_fit_says_so_and_what_would():
    found = mapped("waferllm")
    assert "32 layers would take 196,642 bytes of a core, which has 49,152" in found.unfit.why
    layers = int(found.unfit.remedy.split("layers=")[1].split()[0])
    fill = found.places[0].fill
    each = fill.replayed // 31
    assert fill.used + (layers - 1) * each <= fill.sram < fill.used + layers * each
    assert all(mapped(name).unfit is None for name in MADE if name not in ("waferllm", "prompt"))


def test_a_clock_of_ones_own_is_told():
    program, wafer = made("one wafer")
    assert mapped("one wafer").clock == "published"
    other = atlas(program, wafer, 1024, 0.9e9, wafers_given=4)
    assert (other.clock, other.timing.clock_hz, other.context, other.wafers_given) == ("as asked", 0.9e9, 1024, 4)
    assert "system.wafer_to_wafer_s" not in dict(other.assumed)
    assert "system.wafer_to_wafer_s" in dict(mapped("several wafers").assumed)


@EVERY
def test_the_record_has_the_same_figures(name):
    found, told = mapped(name), record(mapped(name))
    assert told["cycles_per_token"] == found.timing.token_cycles
    assert [place["cycles"] for place in told["places"]] == [place.timed.cycles for place in found.places]
    assert len(told["spans"]) == len(found.spans) and len(told["hand_overs"]) == len(found.hand_overs)
    assert told["fits"] == (found.unfit is None)
