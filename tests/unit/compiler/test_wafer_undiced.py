"""Our mapping: it fits, its regions are legal, its choices pay, and what does not fit is told why."""

import time
from dataclasses import replace

import numpy as np
import pytest

from undiced.compiler.wafer.compile import compile_wafer
from undiced.compiler.wafer.dims import Dims
from undiced.compiler.wafer.options import Options, parse_embedding, parse_objective
from undiced.compiler.wafer.resolve import dims_of
from undiced.compiler.wafer.route import check_colors
from undiced.compiler.wafer.scheme import Scheme, scheme_of
from undiced.compiler.wafer.vector_math import (
    EXP_OPERATIONS,
    RECIPROCAL_OPERATIONS,
    RSQRT_OPERATIONS,
    SILU_OPERATIONS,
    Tally,
    exponential,
    half_silu,
    reciprocal,
    reciprocal_root,
    silu,
)
from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.machine.collective import with_slices
from undiced.machine.region import Role, unpack
from undiced.program import Bounds, Instr, Op, Stream
from undiced.program.file import load
from undiced.sim.analytic import Step, simulate

WSE3 = find_machine("wse3")
TINY = Dims("tiny", 4, 64, 4, 2, 16, 128, 256)


def cycles(program, machine=WSE3, **step):
    return simulate(program, machine, Step(**step))


@pytest.mark.parametrize("name", ["llama-3.1-8b", "mixtral-8x7b", "qwen3-1.7b", "deepseek-v3"])
@pytest.mark.parametrize("objective", ["latency", "interval"])
def test_every_layer_runs_once_and_fits(name, objective):
    program = compile_wafer(name, WSE3, Options(objective=objective))
    runs = {"attention": 0.0, "ffn": 0.0}
    for region in program.regions:
        params, stream = unpack(region.params), program.streams[region.code].name
        if params.role is Role.LAYERS:
            kind, _, part = stream.partition(" ")
            share = eval(part) if part else 1.0
            runs["attention" if kind == "attention" else "ffn"] += share * params.repeats
    assert runs["attention"] == dims_of(name).layers
    assert runs["ffn"] == pytest.approx(dims_of(name).layers)
    assert program.fact("sram_bytes_max_per_core") <= WSE3.core.sram_bytes.value
    assert program.fact("max_context_tokens") >= 4096


@pytest.mark.parametrize(("name", "lean", "measured"), [("llama-3.1-8b", 1, 1), ("llama-3.3-70b", 4, 8)])
def test_wafer_counts_at_lean_and_measured_code(name, lean, measured):
    assert compile_wafer(name, WSE3, Options(lean=True)).fact("wafers") == lean
    assert compile_wafer(name, WSE3, Options(lean=False)).fact("wafers") == measured


def test_405b_compiles_in_seconds_on_19_to_26_wafers():
    started = time.perf_counter()
    program = compile_wafer("llama-3.1-405b", WSE3)
    assert time.perf_counter() - started < 10
    assert 19 <= program.fact("wafers") <= 26


def test_70b_on_four_wafers():
    program = compile_wafer("llama-3.3-70b", WSE3, Options(wafers=4))
    report = cycles(program, context=4096, clock_hz=1.1e9)
    assert report.tokens_per_second > 1400
    times = []
    for _ in range(5):  # the fastest: machines stall
        started = time.perf_counter()
        cycles(program, context=4096)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.1


def test_objectives_trade_latency_for_the_interval():
    quick, full = (cycles(compile_wafer("llama-3.1-8b", WSE3, Options(objective=o))) for o in ("latency", "interval"))
    assert quick.token_cycles < full.token_cycles
    assert full.initiation_interval_cycles < quick.initiation_interval_cycles / 2


def test_fewer_bits_take_fewer_wafers():
    wafers = [compile_wafer("llama-3.3-70b", WSE3, Options(scheme=Scheme(weights=w))).fact("wafers") for w in BITS]
    assert wafers == sorted(wafers, reverse=True)
    assert wafers[0] > wafers[-1]


def test_narrow_keys_leave_room_for_context_and_cost_their_unpacking():
    wide, narrow = (
        compile_wafer("llama-3.1-8b", WSE3, Options(region=(755, 390), scheme=Scheme(kv_bytes=b))) for b in (2, 1)
    )
    assert narrow.fact("max_context_tokens") > 1.5 * wide.fact("max_context_tokens")
    notes = [
        region.operators for region in cycles(narrow, context=4096).regions if "scores: unpack" in region.operators
    ]
    assert notes and not any("scores: unpack" in r.operators for r in cycles(wide, context=4096).regions)


BITS = ("bf16", "int4")


def test_programs_survive_a_file(tmp_path):
    program = compile_wafer(TINY, find_machine("toy-16x16"))
    program.save(tmp_path / "tiny")
    again = load(tmp_path / "tiny")
    assert again == program
    assert again.digest == program.digest == compile_wafer(TINY, find_machine("toy-16x16")).digest


@pytest.mark.parametrize(
    "options",
    [
        Options(wafers=1),
        Options(bounds=Bounds(1, 1 << 24)),
        Options(bounds=Bounds(4096, 1 << 20)),
        Options(region=(4, 4)),
    ],
)
def test_what_does_not_fit_is_told_what_would(options):
    with pytest.raises(CompileError) as caught:
        compile_wafer("llama-3.3-70b", WSE3, options)
    assert caught.value.remedy
    if options.wafers:
        assert "--wafers 4" in caught.value.remedy


@pytest.mark.parametrize(
    "make",
    [
        lambda: Options(bounds=Bounds(0, 1)),
        lambda: Options(bounds=Bounds(1, 0)),
        lambda: Options(wafers=0),
        lambda: parse_objective("speed"),
        lambda: parse_embedding("moon"),
        lambda: scheme_of({"weights": "int3"}),
        lambda: scheme_of({"wire": "fp8"}),
        lambda: scheme_of({"slices": True}),
        lambda: scheme_of({"slices": 99}),
        lambda: scheme_of({"colour": 1}),
        lambda: Scheme(wire="fp16"),
        lambda: replace(TINY, heads=3),
        lambda: replace(TINY, layers=0),
    ],
)
def test_absurd_options_are_refused(make):
    with pytest.raises(CompileError) as caught:
        make()
    assert caught.value.remedy


def reduce(axis, span, groups, color, algorithm=3):
    return Instr(Op.REDUCE, p=(axis, 8, 4, span, groups, algorithm, color), note="sum")


def test_one_route_a_color():
    check_colors((Stream("a", (reduce(0, 64, 8, 2), reduce(0, 64, 8, 2), reduce(1, 64, 8, 5))),), 21)
    with pytest.raises(CompileError, match="share color"):
        check_colors((Stream("a", (reduce(0, 64, 8, 2), reduce(1, 64, 8, 4))),), 21)
    with pytest.raises(CompileError, match="takes color 21"):
        check_colors((Stream("a", (reduce(0, 64, 8, 18, with_slices(3, 2)),)),), 21)


@pytest.mark.parametrize(
    ("function", "exact", "low", "high", "operations", "tolerance"),
    [
        (exponential, np.exp, -40.0, 40.0, EXP_OPERATIONS, 1e-4),
        (reciprocal, lambda x: 1 / x, 1e-3, 1e6, RECIPROCAL_OPERATIONS, 3e-6),
        (reciprocal_root, lambda x: 1 / np.sqrt(x), 1e-3, 1e6, RSQRT_OPERATIONS, 1e-5),
        (silu, lambda x: x / (1 + np.exp(-x)), -20.0, 20.0, SILU_OPERATIONS, 1e-4),
    ],
)
def test_vector_math_is_as_exact_and_as_long_as_charged(function, exact, low, high, operations, tolerance):
    x = (np.geomspace if low > 0 else np.linspace)(low, high, 20_000).astype(np.float32)
    tally = Tally()
    got, want = function(x, tally), exact(x.astype(np.float64))
    kept = np.abs(want) > 1e-6
    assert np.abs(got[kept] / want[kept] - 1).max() < tolerance
    assert tally.operations == operations


def test_silu_in_16_bits_is_as_exact_and_as_long_as_charged():
    x = np.linspace(-60, 60, 50_001).astype(np.float16)
    tally = Tally()
    got, exact = half_silu(x, tally).astype(np.float64), x / (1 + np.exp(-x.astype(np.float64)))
    open_gate = x > -5
    assert np.abs(got - exact)[open_gate].max() < 4e-3 * np.abs(exact[open_gate]).max()
    assert np.abs(got / np.where(exact == 0, 1, exact) - 1)[open_gate & (np.abs(x) > 1e-3)].max() < 4e-3
    assert np.abs(got - exact)[x < -9].max() < 1e-4 * 60
    assert tally.operations == SILU_OPERATIONS
