"""Times of published mappings: intervals, batches, speed, refusals."""

import time
from dataclasses import replace

import pytest

from undiced.compiler.wafer.published.build import build_published
from undiced.core.errors import CompileError
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.sim.analytic import Step, simulate

WSE3 = find_machine("wse3")


def engine(context=1024):
    stages = (2, 4, 4, 4, 4, 4, 4, 2)
    return build_published(
        "qwen3-1.7b",
        WSE3,
        "waferengine",
        MappingOptions(region=(256, 256), groups=16, stages=stages, context=context),
    )


def test_regions_operators_and_kinds_add_up():
    report = simulate(engine(), WSE3, Step(context=1024))
    assert sum(report.by_kind().values()) == pytest.approx(report.token_cycles)
    assert sum(report.by_operator().values()) == pytest.approx(report.token_cycles)
    assert sum(report.by_wafer().values()) == pytest.approx(report.token_cycles)


def test_one_program_serves_every_context():
    program = engine()
    cycles = [simulate(program, WSE3, Step(context=c)).token_cycles for c in (256, 1024, 8192)]
    assert cycles == sorted(cycles)
    assert simulate(engine(8192), WSE3, Step(context=8192)).token_cycles == cycles[2]


def test_a_batch_costs_less_than_its_sequences_apart():
    program = engine()
    one, many = (simulate(program, WSE3, Step(batch=b)).token_cycles for b in (1, 8))
    assert one < many < 8 * one


def test_milliseconds():
    program = engine()
    times = []
    for _ in range(5):  # the fastest: machines stall
        started = time.perf_counter()
        simulate(program, WSE3, Step())
        times.append(time.perf_counter() - started)
    assert min(times) < 0.1


def test_another_machines_program_is_refused():
    with pytest.raises(CompileError, match="compiled for wse3, not for other"):
        simulate(engine(), replace(WSE3, name="other"), Step())
    core = replace(WSE3.core, sram_bytes=replace(WSE3.core.sram_bytes, value=65536))
    with pytest.raises(CompileError, match="not for another machine of that name"):
        simulate(engine(), replace(WSE3, core=core), Step())


@pytest.mark.parametrize("step", [{"context": 10**20}, {"batch": 10**20}, {"context": 0}, {"batch": -1}])
def test_a_step_that_nobody_asks_for_is_refused(step):
    with pytest.raises(CompileError, match="out of range"):
        Step(**step)
