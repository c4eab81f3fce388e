"""Embedding and head with one matrix: it lies on the cores of the first region once, and the head runs there, too."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as altered
from support.mesh_configs import DENSE
from support.mesh_models import differences, randomly

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine.presets import toy
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.value import DType
from undiced.program.wafer.verify import verify
from undiced.sim.clock import time_step
from undiced.sim.mesh.executor import MeshExecutor

TOKENS = [3, 17, 36, 0, 8, 8, 21]
TIED = replace(DENSE, tied=True, embed_scale=3.0, vocab=300)
PLACES = {"one region": (1, 48, 1), "two regions": (2, 5, 1), "two wafers": (2, 5, 2)}


def compiled(config, regions, kib, wafers, choices=None):
    """On regions of 4 x 4 cores, `regions` of them, side by side or on wafers of their own."""
    width = 8 if regions > 1 and wafers == 1 else 4
    options = Options(bounds=Bounds(1, 32), region=(4, 4), code_bytes=2000)
    options = replace(options, choices=replace(options.choices, **(choices or {})))
    machine = toy(width, 4, kib << 10)
    program = compile_graph(randomly(config)[0], machine, options)
    assert len({(each.wafer, each.rect) for each in program.regions}) == regions
    assert 1 + max(each.wafer for each in program.regions) == wafers
    return program, machine


def tables(program: WaferProgram) -> list[tuple[int, str, bool]]:
    """Region, name and whether it is read again, of every matrix over the vocabulary."""
    return [
        (number, value.name, value.again)
        for number, region in enumerate(program.regions)
        for run in region.runs
        for value in program.streams[run.stream].values
        if value.weights is not None and any(dim.name == "vocab" for dim in value.dims)
    ]


@pytest.mark.parametrize("where", PLACES)
def test_one_matrix_serves_both_ends(where):
    program, _ = compiled(TIED, *PLACES[where])
    (first, _, looked_up), (last, _, multiplied) = tables(program)
    assert looked_up and not multiplied
    assert program.regions[first].rect == program.regions[last].rect
    assert program.regions[first].wafer == program.regions[last].wafer
    graph, weights = randomly(TIED)
    worst, agree = differences(graph, weights, MeshExecutor(program, weights.__getitem__), TOKENS, first=1)
    assert worst < 5e-3 and agree


def test_untied_ends_keep_one_each():
    program, _ = compiled(replace(TIED, tied=False), 2, 7, 1)
    assert [again for _, _, again in tables(program)] == [False, False]
    assert any(isinstance(i, isa.Return) for stream in program.streams for i in stream.instructions)


def test_it_saves_the_bytes_of_one_matrix():
    held = [dict(compiled(replace(TIED, tied=tied), 1, 48, 1)[0].facts)["free_bytes"] for tied in (False, True)]
    assert held[1] - held[0] >= 0.9 * 2 * 300 * DENSE.dim / 16


@pytest.mark.parametrize("dtype", [DType.I8, DType.I4])
def test_integers_are_looked_up_as_the_head_has_them(dtype):
    program, _ = compiled(TIED, 1, 48, 1, {"weights": dtype})
    graph, weights = randomly(TIED)
    mesh = MeshExecutor(program, weights.__getitem__, "wafer")
    bounds = [site.bound for site in mesh._sites[0]]
    (_, looked_up, _), (_, multiplied, _) = tables(program)
    found = [bound[name] for bound in bounds for name in (looked_up, multiplied) if name in bound]
    assert found[0] is found[1]
    assert differences(graph, weights, mesh, TOKENS, first=1)[0] < (0.5 if dtype is DType.I8 else 3.0)


def test_a_region_that_is_passed_twice_is_busy_for_both():
    program, machine = compiled(TIED, 2, 5, 1)
    timing = time_step(program, machine)
    assert len(program.regions) == 3 and len(timing.regions) == 2
    assert sum(region.cycles for region in timing.regions) == pytest.approx(timing.token_cycles)
    assert timing.initiation_interval_cycles == max(region.cycles for region in timing.regions)


def test_what_comes_back_arrives_at_the_first_region_alone():
    program, _ = compiled(TIED, 2, 5, 1)
    first, second, third = program.regions
    elsewhere = altered(program, regions=(first, altered(second, runs=(*third.runs[:1], *second.runs[1:])), third))
    with pytest.raises(CompileError, match="as what comes back to the first region"):
        verify(elsewhere)


def test_what_comes_back_is_nothing_that_layers_need():
    program, machine = compiled(TIED, 2, 5, 1)
    stream = program.streams[program.regions[-1].runs[0].stream]
    assert {type(i) for i in stream.instructions} <= {isa.Transfer, isa.Rebind}
    first = time_step(program, machine).regions[0]
    assert first.serving_cycles == 0 < first.layer_cycles < first.cycles


@pytest.mark.parametrize("fields", [{"address": 8}, {"dtype": DType.F32}])
def test_a_matrix_that_nobody_keeps_there_is_refused(fields):
    program, _ = compiled(TIED, 1, 48, 1)
    verify(program)
    streams = tuple(
        altered(stream, values=tuple(altered(v, **fields) if v.again else v for v in stream.values))
        for stream in program.streams
    )
    with pytest.raises(CompileError, match="again, which nobody keeps"):
        verify(altered(program, streams=streams))
