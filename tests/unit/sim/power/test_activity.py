"""What cores do is counted as the fabric moves it and as the graph wants it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from msgspec.structs import replace
from support.mesh_models import tiny

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.machine import find_machine
from undiced.machine.energy import COUNTS
from undiced.program import Bounds
from undiced.program.wafer.layout import Owner, Replicate, Roots, Shard
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import Vectors
from undiced.sim.fabric.layer import Manner, pick, simulate_layer
from undiced.sim.fabric.routes import Port
from undiced.sim.power.activity import _taking_part, _vectors, acts

CONTEXT = 20


@cache
def compiled(machine: str, region: tuple[int, int]):
    graph, _ = tiny("llama")
    wafer = find_machine(machine)
    return graph, compile_graph(graph, wafer, Options(bounds=Bounds(1, 64), region=region)), wafer


def counted(program, wafer, number, runs) -> dict[str, float]:
    region = program.regions[number]
    found = np.zeros(len(COUNTS))
    for run in runs:
        for act in acts(program, wafer, Step(context=CONTEXT), region, program.streams[region.runs[run].stream]):
            found += act.total
    return dict(zip(COUNTS, found.tolist(), strict=True))


@pytest.mark.parametrize(("machine", "region"), [("toy-7x5", (7, 5)), ("toy-9x9", (9, 9))])
def test_hops_of_a_layer_are_those_that_the_fabric_moves(machine, region):
    _, program, wafer = compiled(machine, region)
    number, _, runs = pick(program, None, None)
    moved = simulate_layer(program, wafer, number, runs, Manner(), position=CONTEXT - 1).outcome
    found = counted(program, wafer, number, runs)
    assert found["wavelet_hops"] == pytest.approx(moved.hops, rel=0.04)
    downwards = int(moved.loads[:, :, Port.CORE].sum())
    assert downwards < found["wavelet_ramps"] < 2 * downwards, "every wavelet goes up once and down at least once"


def test_products_are_the_graphs_and_padding():
    graph, program, wafer = compiled("toy-7x5", (7, 5))
    region = program.regions[0]
    found = counted(program, wafer, 0, range(len(region.runs)))
    made = found["multiply_adds_16bit"] + found["multiply_adds_32bit"]
    wanted = sum(slot.rows * slot.columns for slot in graph.slots if slot.rows > 1 and "embed" not in slot.name)
    assert wanted < made < 1.6 * wanted


def test_every_weight_is_read():
    graph, program, wafer = compiled("toy-7x5", (7, 5))
    found = counted(program, wafer, 0, range(len(program.regions[0].runs)))
    assert found["sram_bytes"] > 2 * graph.active_parameters


def test_sums_beside_the_datapath_cost_no_memory():
    wafer = find_machine("wse3")
    adding = Vectors("multiply_add", DType.F16, DType.F16, 64, 100, 1, 2, 0, sums=100)
    pinned, unpinned = (_vectors(wafer, replace(adding, unpinned=each)) for each in (False, True))
    sram = COUNTS.index("sram_bytes")
    assert pinned[sram] == 64 * 100 * 2 + 64 * 2
    assert unpinned[sram] == 64 * 100 * 2 + 64 * 2 * (100 + 99)
    assert (np.delete(pinned, sram) == np.delete(unpinned, sram)).all()


def test_roots_work_at_their_places_and_an_owner_is_any_of_them():
    trees = (Tree(6, (Level(6),), 2),)
    assert _taking_part((Roots(6, 0),), 6, trees).tolist() == [0, 1, 0, 0, 1, 0]
    assert _taking_part((Replicate(2), Roots(6, 0)), 13, trees).tolist() == [0, 1, 0, 0, 1, 0] * 2 + [0]
    assert _taking_part((Owner("token", 4),), 5, ()).tolist() == [0.25] * 4 + [0]
    assert _taking_part((Shard("head", 3),), 4, ()).tolist() == [1, 1, 1, 0]
    assert _taking_part((), 2, ()).tolist() == [1, 1]
