"""Traces obey the format's rules, and hold a token's way as the clock has it."""

import json
from itertools import pairwise

import pytest
from support.atlases import mapped
from support.trace_events import read

from undiced.sim.atlas.deeds import Who, covered
from undiced.sim.trace import token
from undiced.sim.trace.chrome import document
from undiced.sim.trace.track import Arrow, End, Group, Slice, Track

EVERY = pytest.mark.parametrize("name", ["prompt", "several wafers", "waferllm"])
CLOCK = 1e9  # a cycle is a nanosecond


def written(*groups, arrows=()):
    return "".join(document(groups, arrows, CLOCK, {"source": "simulated, not measured"}))


def traced(name):
    found = mapped(name)
    return read("".join(document(token.groups(found), list(token.arrows(found)), found.timing.clock_hz,
                                 token.about(found))))  # fmt: skip


@EVERY
def test_a_tokens_trace_obeys_the_format_and_covers_the_token(name):
    atlas, found = mapped(name), traced(name)
    slices = [one for track in found.slices.values() for one in track]
    runs = [one for where, thread in found.threads.items() if thread == "runs" for one in found.slices[where]]
    assert sum(one["args"]["cycles"] for one in runs) == pytest.approx(atlas.timing.token_cycles, abs=len(runs))
    last = max(one["ts"] + one["dur"] for one in slices)
    assert last == pytest.approx(atlas.timing.token_cycles / atlas.timing.clock_hz * 1e6, abs=1e-3)
    whole = atlas.model + f" on {atlas.wafers} x {atlas.machine}"
    assert next(iter(found.processes.values())) == whole
    assert len(found.named(whole, "token")) == 1 + len(atlas.spans) + len(token_stays(atlas))
    regions = {f"region {place.name}" for place in atlas.places}
    assert {name.split(",")[0] for name in found.processes.values()} - {whole, "between wafers"} == regions
    assert found.about["source"] == "simulated, not measured" and found.about["clock_hz"] == atlas.timing.clock_hz


def token_stays(atlas):
    places = [span.place for span in atlas.spans]
    return [n for n, place in enumerate(places) if not n or places[n - 1] != place]


@EVERY
def test_every_instruction_that_takes_time_is_there_once_for_each_run(name):
    atlas, found = mapped(name), traced(name)
    expected = sum(len(atlas.deeds[turn.stream]) for turn in atlas.turns)
    off = sum(deed.off_wafer for turn in atlas.turns for deed in atlas.deeds[turn.stream])
    told = [one for track in found.slices.values() for one in track if "instruction" in one["args"]]
    assert len(told) == expected + off, "what leaves a wafer is on the way between them, too"
    assert len(found.flows) == len(token_stays(atlas)) - 1


@EVERY
def test_what_lines_carry_over_time_adds_up_to_the_bytes_of_sums_and_multicasts(name):
    atlas, found = mapped(name), traced(name)
    region = f"region {atlas.places[0].name}"
    process = next(number for number, each in found.processes.items() if each.split(",")[0] == region)
    for axis, lines in (("rows", 0), ("columns", 1)):
        points = found.counters[process, f"links over {axis}"]
        area = sum(amount * (end - start) for (start, amount), (end, _) in pairwise(points))
        carried = sum(
            deed.size_bytes
            for turn in atlas.turns
            if turn.place == 0
            for deed in atlas.deeds[turn.stream]
            if deed.axis is not None and deed.axis == lines
        )
        assert area * atlas.timing.clock_hz / 1e6 == pytest.approx(carried, rel=0.01)
        assert not points or points[-1][1] == 0


@EVERY
def test_deeds_are_the_clocks_and_end_with_their_run(name):
    atlas = mapped(name)
    for turn in atlas.turns:
        ends = [deed.end for deed in atlas.deeds[turn.stream]]
        assert max(ends, default=turn.cycles) == pytest.approx(turn.cycles)
        assert 0.9 * turn.cycles <= covered(atlas.deeds[turn.stream], tuple(Who)) <= turn.cycles + 1e-6


def test_who_works_is_told():
    found = {
        deed.made: deed
        for deeds in mapped("several wafers").deeds
        for deed in deeds
        if deed.kind in ("Apply", "Product")
    }
    assert found["square.sum"].who is Who.FEW and found["mixed.terms"].who is Who.CORES
    kinds = {(deed.kind, deed.who) for deeds in mapped("several wafers").deeds for deed in deeds}
    assert {("Reduce", Who.SUMS), ("Multicast", Who.CASTS), ("Transfer", Who.BETWEEN), ("Rebind", Who.CORES)} <= kinds


def test_what_crosses_between_wafers_has_a_track_for_each_way():
    found = traced("several wafers")
    process = next(number for number, name in found.processes.items() if name == "between wafers")
    ways = [name for (at, _), name in found.threads.items() if at == process and "(" not in name]
    assert ways == ["wafer 0 to wafer 1", "wafer 1 to wafer 2", "wafer 2 to wafer 0"]


def test_slices_that_overlap_lie_in_lanes_of_their_own():
    slices = Slice("a", 0, 10), Slice("inside", 2, 8), Slice("across", 5, 15), Slice("later", 10, 12)
    assert [[one.name for one in lane] for lane in Track("t", slices).lanes()] == [["a", "inside", "later"], ["across"]]
    found = read(written(Group("g", (Track("t", slices),))))
    assert sorted(found.threads.values()) == ["t", "t (2)"]


def test_cycles_become_whole_nanoseconds_that_still_touch():
    pieces = tuple(Slice(str(n), n * 1.3, (n + 1) * 1.3) for n in range(100))
    text = "".join(document([Group("g", (Track("t", pieces),))], [], 1.1e9, {}))
    found = read(text)
    ((_, slices),) = found.slices.items()
    for before, after in pairwise(slices):
        assert before["ts"] + before["dur"] == pytest.approx(after["ts"], abs=1e-9)


def test_names_and_details_are_json_whatever_they_are():
    odd = Slice('"\n</script>\x00', 0, 1, details={"why": 'a "quoted" \u2028 word'})
    found = read(written(Group("g\n", (Track("t", (odd,)),), note="{}")))
    assert found.named("g\n", "t")[0]["args"]["why"] == 'a "quoted" \u2028 word'


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda events: events.append({**events[-1], "ts": -1.0}), "ts"),
        (lambda events: events.append({**events[-1], "ph": "Q"}), "Q"),
        (lambda events: events.append({**events[-1], "ts": 0.001, "dur": 1.0}), "leaves the slice"),
        (lambda events: events.append({**events[-1], "tid": 77}), "no name"),
        (lambda events: events.append({**events[-1], "ph": "s", "id": 1}), "s"),
    ],
)  # fmt: skip
def test_the_reader_refuses_what_viewers_do(spoil, said):
    file = json.loads(written(Group("g", (Track("t", (Slice("a", 0, 10),)),))))
    read(json.dumps(file))
    spoil(file["traceEvents"])
    with pytest.raises(AssertionError, match=said):
        read(json.dumps(file))


def test_an_arrow_joins_two_slices():
    groups = [Group(name, (Track("t", (Slice("a", at, at + 10),)),)) for name, at in (("g", 0), ("h", 10))]
    found = read(written(*groups, arrows=[Arrow("passes", End("g", "t", 8), End("h", "t", 10))]))
    assert [event["ts"] for event in found.flows[1]] == [0.008, 0.01]
