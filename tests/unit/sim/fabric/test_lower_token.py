"""Whole tokens at level 2, over several regions of a wafer: what is handed over, and the token on its way back."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from msgspec.structs import replace as with_fields
from support.fabric_serpentines import Serpentine
from support.fabric_steps import same, watched
from support.mesh_models import prompt, tiny

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import UnsupportedError
from undiced.machine import find_machine, wse3
from undiced.program import Bounds, Rect
from undiced.program.wafer import instruction as isa
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.legs import lower_token, memories
from undiced.sim.fabric.lower.lower import lower
from undiced.sim.fabric.simulate import simulate

SLOW = pytest.mark.slow
TOKENS = 4


@pytest.mark.parametrize(
    ("name", "machine", "names"),
    [
        ("llama", "toy-12x12:19K", {"enter", "enter, turning", "return"}),
        pytest.param("qwen3", "toy-12x12:21K", {"enter", "enter, turning, inside a block", "return"}, marks=SLOW),
        pytest.param("llama-bias-linear-tied", "toy-12x12:19K", {"enter", "enter, turning", "back"}, marks=SLOW),
        pytest.param("llama-bias-linear-tied", "toy-12x12:20K", {"enter", "back"}, marks=SLOW),
        ("llama", "toy-6x6:19K", {"off wafer", "return"}),
        ("llama-bias-linear-tied", "toy-12x6:19K", {"enter", "back"}),
        pytest.param("qwen3", "toy-6x6:21K", {"off wafer", "return"}, marks=SLOW),
        pytest.param("llama-bias-linear-tied", "toy-6x6:19K", {"off wafer", "back"}, marks=SLOW),
    ],
)
def test_a_token_over_several_regions_and_wafers_has_the_bits_of_level_1_and_chooses_the_same(name, machine, names):
    graph, weights = tiny(name)
    wafer, given = find_machine(machine), prompt(name, TOKENS)
    program = compile_graph(graph, wafer, Options(bounds=Bounds(1, 64), region=(6, 6)))
    streams = {program.streams[run.stream].name for region in program.regions for run in region.runs}
    assert streams >= names, streams
    moments = watched(program, weights, given)
    legs = lower_token(program, token=given[-1], position=TOKENS - 1, wafer=wafer)
    sites = [(number, run) for number, region in enumerate(program.regions) for run in range(len(region.runs))]
    by_site = {site: [m for m in moments if (m.region, m.run) == site] for site in sites}
    held = memories(legs, [by_site[site][0].lasting for site in sites])
    for number, leg in enumerate(legs):
        if number:
            leg.receive(held[legs[number - 1].wafer], held[leg.wafer])
        outcome = simulate(leg.run.program, Hardware.of(wafer), memory=held[leg.wafer])
        assert outcome.status == "finished", outcome.waiting[:3]
    last = {(program.regions[number].wafer, program.regions[number].rect): (number, run) for number, run in sites}
    frames = [(frame, leg.wafer) for leg in legs for frame in leg.run.frames]
    for site, (frame, on) in zip(sites, frames, strict=True):
        for value in ("hidden", "range", "kept", "token") if site in last.values() else ():
            assert value not in by_site[site][-1].arrays or same(frame, held[on], by_site[site][-1], value), site
    chosen = moments[-1].arrays["token"].ravel()[0]
    assert chosen > 0
    frame, on = frames[-1] if program.wafers > 1 else frames[0]
    assert np.unique(image.read(held[on], frame, "token")).tolist() == [chosen]


def any_serpentine(r):
    across, down = r.randint(1, 3), r.randint(1, 3)
    upright, turned = r.random() < 0.5, r.random() < 0.5
    width, height = r.randint(3, 6), r.randint(3, 6)
    return Serpentine(
        r.randint(2, max(2, across * down)), width, height, across, max(down, 1 + (across == 1)), upright, turned,
        r.randint(1, 6), r.choice(("f32", "f16")),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_every_region_is_handed_what_the_first_one_has_and_that_the_token(seed):
    r = Random(seed)
    for _ in range(6):
        serpentine = any_serpentine(r)
        frames, outcome = serpentine.run(threads=1)
        assert outcome.status == "finished", (serpentine, outcome.waiting[:3])
        assert not serpentine.wrong(frames, outcome), serpentine


@pytest.mark.parametrize(
    ("count", "across", "down"), [(2, 2, 1), (3, 3, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2), (3, 1, 3)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_what_comes_back_to_the_first_region_is_what_it_had(count, across, down, turned):
    for upright in (False, True):
        for width, height in ((4, 4), (6, 4), (4, 6), (3, 9), (9, 3), (3, 10), (4, 11)):
            serpentine = Serpentine(count, width, height, across, down, upright, turned, tied=True)
            frames, outcome = serpentine.run(threads=1)
            assert outcome.status == "finished", (serpentine, outcome.waiting[:3])
            assert not serpentine.wrong(frames, outcome), serpentine


@pytest.mark.parametrize("seed", range(3))
def test_late_cores_change_nothing_that_is_handed_over(seed):
    """More rows than columns to go down in: rows take turns."""
    serpentine = Serpentine(4, 4, 9, 2, 2, share=20)
    frames, outcome = serpentine.run(threads=1, skew=3000, jitter=60, seed=seed)
    assert outcome.status == "finished", outcome.waiting[:3]
    assert not serpentine.wrong(frames, outcome)


def test_rows_that_go_down_columns_of_their_own_do_not_wait_for_each_other():
    """A hand-over downwards takes hops and one payload, however many rows there are."""
    cycles = [Serpentine(2, 12, rows, 1, 2, share=64, tied=False).run()[1].cycles for rows in (5, 10)]
    assert cycles[1] - cycles[0] < 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: _taller(p), "other shares"),
        (lambda p: _taller(_off_wafer(p)), "other shares"),
    ],
)
def test_what_regions_do_not_hand_over_at_level_2_is_refused_by_name(change, words):
    program = change(Serpentine(2, 4, 4, 2, 1).program())
    with pytest.raises(UnsupportedError, match=words) as refusal:
        lower_token(program, token=0, position=0, wafer=wse3())
    assert refusal.value.remedy


@pytest.mark.parametrize(("off", "words"), [(False, "comes from the region before"), (True, "to another wafer")])
def test_a_region_by_itself_is_handed_nothing(off, words):
    program = Serpentine(2, 4, 4, 2, 1).program()
    with pytest.raises(UnsupportedError, match=words) as refusal:
        lower(_off_wafer(program) if off else program, 1, [0], token=0, position=0, wafer=wse3())
    assert "whole token" in refusal.value.remedy


def test_regions_that_have_no_column_for_what_passes_are_refused():
    with pytest.raises(UnsupportedError, match="no column") as refusal:
        Serpentine(3, 1, 3, 1, 3).run()
    assert "columns" in refusal.value.remedy


def test_more_rows_than_switches_keep_apart_on_their_way_back_are_refused():
    """Three columns hold no more than twelve rows: switches have four positions."""
    assert Serpentine(3, 3, 12, 2, 2, tied=True).run()[1].status == "finished"
    with pytest.raises(UnsupportedError, match="5 rows would share a column") as refusal:
        Serpentine(3, 3, 13, 2, 2, tied=True).run()
    assert "more columns" in refusal.value.remedy


@pytest.mark.parametrize("seed", range(3))
def test_late_cores_change_nothing_that_comes_back(seed):
    serpentine = Serpentine(3, 4, 14, 2, 2, share=20, tied=True)
    frames, outcome = serpentine.run(threads=1, skew=3000, jitter=60, seed=seed)
    assert outcome.status == "finished", outcome.waiting[:3]
    assert not serpentine.wrong(frames, outcome)


def _taller(program):
    first, second = program.regions
    return with_fields(program, regions=(first, with_fields(second, rect=Rect(4, 0, 4, 5))))


def _off_wafer(program):
    def off(stream):
        made = (with_fields(i, off_wafer=True) if isinstance(i, isa.Transfer) else i for i in stream.instructions)
        return with_fields(stream, instructions=tuple(made))

    regions = (program.regions[0], with_fields(program.regions[1], wafer=1))
    return with_fields(program, streams=tuple(map(off, program.streams)), regions=regions)


def test_the_comparison_itself_can_fail():
    serpentine = Serpentine(2, 4, 4, 2, 1)
    frames, outcome = serpentine.run(threads=1)
    assert replace(serpentine, share=3).wrong(frames, outcome) == []
    outcome.memory[:, 4:] += 1
    assert {name for _, name in serpentine.wrong(frames, outcome)} >= {"hidden", "range"}
