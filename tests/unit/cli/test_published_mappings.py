"""Replaying published mappings: keys, clocks, and what each impossible option is told."""

import re

import pytest

from undiced.compiler.wafer.published.build import build_published
from undiced.core.errors import CompileError, UndicedError
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.program.wafer.step import Step
from undiced.sim.clock import time_step
from undiced.sim.outlook import check_phase, outlook
from undiced.study.words import parse_clock, parse_phase, parse_region, parse_stages


def replay(
    model, machine, mapping, *, region="auto", stages=None, context=1024, phase="decode", clock_ghz=None, **more
):
    """As the command line does it: parse, compile, time."""
    wafer, way = find_machine(machine), parse_phase(phase)
    parts = parse_stages(stages) if stages else None
    options = MappingOptions(region=parse_region(region), stages=parts, context=context, phase=way, **more)
    program = build_published(model, wafer, mapping, options)
    step = Step(more.get("batch", 1), 1, context)
    check_phase(program, step, way)
    return outlook(program, wafer, time_step(program, wafer, step, parse_clock(clock_ghz)), way)


KEYS = {
    "machine",
    "mapping",
    "clock_hz",
    "wafers",
    "fits",
    "cycles_per_token",
    "cycles_per_layer",
    "stage_interval_cycles",
    "initiation_interval_cycles",
    "tokens_per_second",
    "aggregate_tokens_per_second",
    "time_to_first_token_s",
    "sram_bytes_max_per_core",
    "max_context_tokens",
    "breakdown",
}
STAGES = "2,4,4,4,4,4,4,2"


def test_waferllm_decode_times_one_layer():
    out = replay("llama-3-8b", "wse2", "waferllm", region="420x420", groups=20, context=4200, layers=32)
    assert set(out) >= KEYS
    assert out["tokens_per_second"] == pytest.approx(1.1e9 / (32 * out["cycles_per_layer"]), rel=1e-3)
    assert out["fits"] is False  # 32 layers do not fit one square of 420; reported, not enforced
    kinds = out["breakdown"]["kind"]
    assert sum(kinds.values()) == pytest.approx(out["cycles_per_token"])


def test_cycles_do_not_depend_on_the_clock():
    runs = [replay("llama-3-8b", "wse2", "waferllm", region="420x420", context=4200, clock_ghz=g) for g in (0.85, 1.1)]
    assert runs[0]["cycles_per_token"] == runs[1]["cycles_per_token"]
    assert runs[0]["tokens_per_second"] / runs[1]["tokens_per_second"] == pytest.approx(0.85 / 1.1)


def test_prefill_covers_the_prompt():
    out = replay("llama-3-8b", "wse2", "waferllm", region="480x480", context=4096, phase="prefill")
    assert out["tokens_per_second"] == pytest.approx(4096 * 1.1e9 / (32 * out["cycles_per_layer"]), rel=1e-3)
    assert out["prompt_cycles"] == pytest.approx(32 * out["cycles_per_layer"], rel=1e-3)
    assert out["time_to_first_token_s"] == pytest.approx(4096 / out["tokens_per_second"])


def test_waferengine_head_lengthens_the_last_stage():
    out = replay("qwen3-1.7b", "wse3", "waferengine", region="256x256", groups=16, stages=STAGES, context=1024)
    assert out["initiation_interval_cycles"] > out["stage_interval_cycles"] > 4 * out["cycles_per_layer"]
    assert out["cycles_per_token"] > 28 * out["cycles_per_layer"]


def test_a_batch_in_lockstep_costs_less_than_its_sequences_apart():
    one, two = (
        replay("qwen3-1.7b", "wse3", "waferengine", region="256x256", groups=16, stages=STAGES, context=1152, batch=b)
        for b in (1, 2)
    )
    assert one["cycles_per_token"] < two["cycles_per_token"] < 2 * one["cycles_per_token"]
    assert two["streams"] == 2


def test_waferengine_on_a_toy():
    out = replay("smollm2-135m", "toy-12x8:16M", "waferengine", region="6x4", groups=2, stages="15,15", context=64)
    assert out["cycles_per_token"] > 0


@pytest.mark.parametrize(
    "options",
    [
        {"region": "420x400"},
        {"region": "421x421", "groups": 20},
        {"region": "2000x2000"},
        {"region": "0x4"},
        {"region": "wide"},
        {"groups": -1, "region": "420x420"},
        {"context": 0, "region": "420x420"},
        {"layers": 0, "region": "420x420"},
        {"phase": "dream", "region": "420x420"},
        {"clock_ghz": 0.0, "region": "420x420"},
        {"clock_ghz": float("nan"), "region": "420x420"},
        {"stages": "16,16", "region": "420x420"},
        {"mapping": "nonesuch"},
        {"mapping": "waferengine", "region": "256x256", "stages": "1,2"},
        {"mapping": "waferengine", "region": "256x256", "stages": "a"},
        {"mapping": "waferengine", "region": "255x256", "stages": "32", "groups": 16},
        {"mapping": "waferengine", "region": "64x64", "stages": "32", "phase": "prefill"},
        {"model": "llama-9-1b", "region": "420x420"},
        {"machine": "wse8", "region": "420x420"},
    ],
)
def test_impossible_options_have_a_remedy(options):
    arguments = {"model": "llama-3-8b", "machine": "wse2", "mapping": "waferllm", **options}
    with pytest.raises(UndicedError) as caught:
        replay(**arguments)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("region", "groups", "remedy"),
    [
        ("420x420", 22, 'Use groups=21 or 28, or region="418x418".'),
        ("255x255", 16, 'Use groups=15 or 17, or region="240x240".'),
        ("421x421", 20, 'Use region="420x420".'),
        ("420x420", 500, "Use at most groups=420."),
        ("1x1", 1, "Use 2x2 or more."),
    ],
)
def test_odd_grids_name_groups_and_sides_that_fit(region, groups, remedy):
    with pytest.raises(CompileError) as caught:
        replay("llama-3-8b", "wse2", "waferllm", region=region, groups=groups)
    assert caught.value.remedy == remedy
    for count in re.findall(r"groups=(\d+)", remedy):
        assert replay("llama-3-8b", "wse2", "waferllm", region=region, groups=int(count))
    for side in re.findall(r'region="(\w+)"', remedy):
        assert replay("llama-3-8b", "wse2", "waferllm", region=side, groups=groups)


def test_a_pipeline_s_odd_side_is_named():
    with pytest.raises(CompileError, match="A side of 255 cores can't be split into 16 equal groups") as caught:
        replay("qwen3-1.7b", "wse3", "waferengine", region="255x256", groups=16, stages=STAGES)
    assert caught.value.remedy == 'Use region="240x256".'
