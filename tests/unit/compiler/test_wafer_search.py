"""Our mapping as a whole: it fits, its regions are legal, what is asked for pays, and a program is always the same."""

from dataclasses import replace
from itertools import combinations
from math import ceil

import pytest
from support.mesh_configs import DENSE, LATENT, MIXED
from support.mesh_models import differences, randomly

from undiced.compiler.wafer import shapes
from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.lowering import PARTS
from undiced.compiler.wafer.lower.segments import grain_for, segments
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine.presets import toy, wse3
from undiced.model import PRESETS, MoeConfig, build_config, preset
from undiced.program import Bounds
from undiced.program.wafer.instruction import Product
from undiced.program.wafer.layout import Keeper
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType
from undiced.sim.clock import time_step
from undiced.sim.mesh.executor import MeshExecutor

TINY = replace(
    DENSE, layers=4, dim=40, kv_heads=4, moe=MoeConfig(experts=40, top_k=4, ffn=4, layers=(0, 1, 2, 3), shared_ffn=6)
)
TOY, TIGHT = toy(12, 10, 32 << 10), toy(12, 10, 24 << 10)
WIDE = replace(DENSE, layers=6, dim=64, heads=8, kv_heads=4, ffn=160, vocab=200)
BOUNDS = Bounds(1, 64)


def compiled(config=WIDE, machine=TOY, **options):
    return compile_graph(build_config(config), machine, Options(**{"bounds": BOUNDS, **options}))


def wafers(program):
    return 1 + max(region.wafer for region in program.regions)


@pytest.mark.parametrize("config", [WIDE, MIXED, LATENT], ids=["dense", "mixed", "latent"])
@pytest.mark.parametrize("objective", ["latency", "interval"])
def test_every_layer_runs_regions_lie_apart_and_cores_hold_their_share(config, objective):
    program = compiled(config, objective=objective)
    runs = [run for region in program.regions for run in region.runs]
    assert {run.layer for run in runs} == {-1, *range(config.layers)}
    for run in runs:
        assert run.layer < 0 or any(isinstance(i, Product) for i in program.streams[run.stream].instructions)
    for a, b in combinations(program.regions, 2):
        assert a.wafer != b.wafer or not a.rect.meets(b.rect)
    for region in program.regions:
        assert region.rect.x + region.rect.width <= 12 and region.rect.y + region.rect.height <= 10
    facts = dict(program.facts)
    assert facts["sram_bytes_max_per_core"] <= TOY.core.sram_bytes.value
    assert facts["max_context_tokens"] >= 64
    assert facts["wafers"] == wafers(program)


def test_the_interval_may_be_asked_for():
    made = (compiled(machine=TIGHT, objective=what) for what in ("latency", "interval"))
    quick, full = (time_step(program, TIGHT) for program in made)
    assert full.initiation_interval_cycles < quick.initiation_interval_cycles
    assert quick.token_cycles <= full.token_cycles


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_fewest_wafers_get_the_program_that_they_get_when_asked_for():
    graph = build_config(preset("llama-3.1-8b"))
    found = compile_graph(graph, wse3(), Options(bounds=Bounds(1, 4096)))
    assert found == compile_graph(graph, wse3(), Options(bounds=Bounds(1, 4096), wafers=wafers(found)))


@pytest.mark.slow
def test_more_wafers_are_never_slower():
    for machine in (TOY, TIGHT):
        few = compiled(machine=machine)
        more = compiled(machine=machine, wafers=wafers(few) + 2)
        assert time_step(more, machine).token_cycles <= time_step(few, machine).token_cycles


def groups(program):
    """Groups of columns that experts lie on."""
    parts = [part for stream in program.streams for value in stream.values for part in value.columns]
    return max((part.ways for part in parts if isinstance(part, Keeper)), default=1)


@pytest.mark.slow
def test_experts_lie_on_columns_of_their_own_where_that_saves_wafers_and_nowhere_else(monkeypatch):
    tight, roomy = compiled(TINY, TIGHT), compiled(TINY, TOY)
    assert groups(tight) > 1 == groups(roomy)
    monkeypatch.setattr(shapes, "most_groups", lambda config, columns: 1)
    assert wafers(compiled(TINY, TIGHT)) > wafers(tight)
    assert compiled(TINY, TOY) == roomy


def test_what_is_compiled_with_experts_on_columns_of_their_own_computes_the_model():
    graph, weights = randomly(TINY)
    program = compile_graph(graph, TIGHT, Options(bounds=BOUNDS))
    worst, _ = differences(graph, weights, MeshExecutor(program, weights.__getitem__), [3, 17, 36, 0, 8], first=1)
    assert groups(program) > 1
    assert worst < 5e-3


@pytest.mark.parametrize(("experts", "ffn"), [(8, 3), (40, 4), (7, 16), (128, 2), (4, 200)])
def test_groups_are_the_fewest_of_equal_memory_and_leave_a_core_one_column_of_a_choice(experts, ffn):
    config = replace(TINY, moe=replace(TINY.moe, experts=experts, ffn=ffn))
    for columns in range(1, 200):
        count = shapes.most_groups(config, columns)
        assert count == 1 or ceil(ffn / (columns // count)) == 1
        held = [ceil(experts / n) * ceil(ffn / (columns // n)) for n in range(1, columns + 1)]
        free = [each for n, each in enumerate(held, 1) if n == 1 or ceil(ffn / (columns // n)) == 1]
        assert held[count - 1] == min(free)
        assert held[count - 1] not in held[: count - 1]


def test_a_block_of_experts_on_columns_of_their_own_is_not_cut():
    block = next(each for each in segments(build_config(TINY)) if each.splits)
    assert grain_for(block, TINY, Grid(4, 2)) < PARTS == grain_for(block, TINY, Grid(4, 8, 2))


def test_deeper_contexts_cost_more_and_one_program_serves_them_all():
    program = compiled(bounds=Bounds(1, 256))
    cycles = [time_step(program, TOY, Step(1, 1, context)).token_cycles for context in (1, 64, 256)]
    assert cycles == sorted(cycles) and cycles[0] < cycles[-1]


@pytest.mark.slow
def test_fewer_bits_take_no_more_wafers_and_less_memory():
    made = [compiled(machine=TIGHT, choices=replace(LEAN, weights=form)) for form in (DType.F16, DType.I8, DType.I4)]
    counts = [wafers(program) for program in made]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]


def test_equal_requests_make_equal_programs():
    first, again, other = (compiled(bounds=Bounds(1, context), region=(11, 8)) for context in (64, 64, 65))
    assert first == again != other


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_known_model_compiles_or_is_refused_with_a_reason(name):
    try:
        program = compile_graph(build_config(preset(name)), wse3())
    except CompileError as error:
        assert error.message and error.remedy
    else:
        assert time_step(program, wse3()).tokens_per_second > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_model_of_the_catalog_compiles_for_wafers(name):
    program = compile_graph(build_config(preset(name)), wse3(), Options(bounds=Bounds(1, 4096)))
    assert program.fact("wafers") >= 1
