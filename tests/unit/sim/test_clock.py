"""Times of whole programs: streams counted once, runs as often as they happen."""

from dataclasses import replace as with_fields
from time import perf_counter

import pytest
from msgspec.structs import replace
from support.streams import line, sliced_sum, value

from undiced.core.errors import CompileError
from undiced.machine.presets import wse3
from undiced.program import Bounds, Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import Kind
from undiced.sim.clock import time_floor, time_step

WAFER = wse3()
TREE, VALUES = sliced_sum(64, 12, 2)
LAYER = Stream(
    "layer",
    (*VALUES, value("hidden", ("hidden", 64), kind=Kind.STATE)),
    (
        isa.Fill("norm", "sum.terms", 0.0),
        isa.Reduce("ffn", "sum", "sum.roots", "sum.terms", line(64), "f32"),
        isa.Multicast("ffn", "sum", "sum.roots", line(64), "f32"),
        isa.Combine("add", "add", "sum", "sum", "sum"),
        isa.Fill("add", "hidden", 1.0),
    ),
)
ENTER = Stream("enter", (), (isa.Transfer("hidden", "hidden", "hidden", "f32", 64, True),))
HEAD = Stream("head", (), (isa.Scale("logits", "multiply", "hidden", "hidden", 2.0),))


def program(*regions: tuple[int, ...]) -> WaferProgram:
    """Regions of runs by stream number, each layer a new one."""
    made, layer = [], 0
    for number, runs in enumerate(regions):
        each = []
        for stream in runs:
            each.append(Run(stream, layer if stream == 0 else -1))
            layer += stream == 0
        made.append(Region(f"r{number}", number, Rect(0, 0, 64, 8), tuple(each)))
    streams = (LAYER, ENTER, HEAD)
    return WaferProgram("m", "wse3", "", WAFER.digest, Bounds(1, 64), tuple(made), streams, (TREE,), (), 16)


def test_a_token_takes_all_regions_and_a_stage_its_own() -> None:
    one = time_step(program((0,)), WAFER)
    timing = time_step(program((0, 0), (1, 0, 0, 0), (1, 2)), WAFER)
    enter = time_step(program((0,), (1,)), WAFER).token_cycles - one.token_cycles
    assert timing.token_cycles == pytest.approx(sum(region.cycles for region in timing.regions))
    assert timing.stages == 2
    assert timing.stage_interval_cycles == pytest.approx(3 * one.token_cycles + enter)
    assert timing.initiation_interval_cycles == max(region.cycles for region in timing.regions)
    assert timing.layer_cycles == pytest.approx(one.token_cycles)


def test_nodes_kinds_instructions_and_wafers_add_up_to_the_token() -> None:
    timing = time_step(program((0, 0), (1, 0), (1, 0, 2)), WAFER)
    for parts in (timing.by_operator(), timing.by_instruction(), timing.by_kind(), timing.by_wafer()):
        assert sum(parts.values()) == pytest.approx(timing.token_cycles)
    assert {"norm", "ffn", "add", "hidden", "logits"} == set(timing.by_operator())
    assert timing.by_kind()["io"] > 0 and set(timing.by_wafer()) == {0, 1, 2}


def test_the_hottest_node_of_a_region_is_that_of_its_movers() -> None:
    [region] = time_step(program((0, 0, 2)), WAFER).regions
    assert region.hottest[0] == "ffn" and 0 < region.hottest[1] < region.cycles


def test_seconds_are_at_the_stated_clock() -> None:
    slow, fast = (time_step(program((0,)), WAFER, Step(context=64), hz) for hz in (1e9, 2e9))
    assert fast.tokens_per_second == pytest.approx(2 * slow.tokens_per_second)
    batch = time_step(program((0,)), WAFER, Step(sequences=4, context=64), 1e9)
    assert batch.aggregate_tokens_per_second == pytest.approx(4 * batch.tokens_per_second)
    assert batch.token_cycles > slow.token_cycles


def test_many_layers_take_no_longer_to_time_than_few() -> None:
    start = perf_counter()
    timing = time_step(program(*[(0,) * 20] * 20), WAFER)
    assert perf_counter() - start < 1.0
    assert timing.token_cycles == pytest.approx(400 * time_step(program((0,)), WAFER).token_cycles)


def test_a_program_for_another_machine_is_refused() -> None:
    with pytest.raises(CompileError, match="another machine of that name"):
        time_step(replace(program((0,)), machine_digest="x"), WAFER)
    faster = with_fields(WAFER, name="mine")
    with pytest.raises(CompileError, match="not for mine"):
        time_step(program((0,)), faster)


def test_constants_may_be_varied_without_compiling_anew() -> None:
    link = WAFER.link
    far = with_fields(WAFER, link=with_fields(link, hop_cycles=with_fields(link.hop_cycles, value=3.0)))
    once, thrice = (time_step(program((0,)), WAFER, varied=wafer) for wafer in (WAFER, far))
    near, apart = once.by_kind()["hops"], thrice.by_kind()["hops"] / 3  # of the longest way, which may be another one
    assert 2 * near <= thrice.token_cycles - once.token_cycles <= 2 * apart and near > 0


def test_a_floor_is_arithmetic_wires_and_distance() -> None:
    timing = time_step(program((0, 0)), WAFER)
    spent = timing.by_kind()
    floor = time_floor(program((0, 0)), WAFER).token_cycles
    assert spent["hops"] < floor < timing.token_cycles - spent["overhead"]


def test_sequences_beyond_the_lanes_follow_each_other() -> None:
    alone = program((0,))
    lanes = replace(alone, facts=(*alone.facts, ("lanes", 1.0)))
    one, four = (time_step(lanes, WAFER, Step(sequences=n, context=64), 1e9) for n in (1, 4))
    assert four.token_cycles == one.token_cycles + 3 * one.initiation_interval_cycles
    assert four.initiation_interval_cycles == 4 * one.initiation_interval_cycles
    assert four.step.sequences == 4
    assert four.aggregate_tokens_per_second == pytest.approx(one.aggregate_tokens_per_second)
