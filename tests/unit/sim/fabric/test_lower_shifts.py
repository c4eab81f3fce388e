"""Products by shifted tiles at level 2: rings of neighbors two places apart, and chains that join scores."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from msgspec import structs
from support.fabric_steps import Record, before_one, level1
from support.mesh_configs import DENSE
from support.mesh_models import randomly

from undiced.compiler.wafer.published.asked import Asked
from undiced.compiler.wafer.published.waferllm import waferllm_prompt
from undiced.machine import find_machine, wse2
from undiced.machine.timeline import critical_path
from undiced.model import RopeConfig
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.shifts import ring
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.frame import aligned
from undiced.sim.fabric.lower.frames import frames
from undiced.sim.fabric.lower.lower import lowered
from undiced.sim.fabric.lower.rings import coloring, ring_paints
from undiced.sim.fabric.program import FabricProgram
from undiced.sim.fabric.simulate import simulate
from undiced.sim.mesh.executor import MeshExecutor

ONE_HEAD = replace(DENSE, heads=1, kv_heads=1, head_dim=12, rope=RopeConfig(theta=1e4, dims=12))
TOKENS = [5, 11, 3, 36, 0, 7, 7, 20, 14]


def alone(program, earlier, moment, side):
    """A product by itself on what level 1 has before it; one whose tiles a product before has aligned aligns them."""
    instruction = moment.instruction
    if getattr(instruction, "aligned", False):
        instruction = structs.replace(instruction, aligned=False)
    (frame,), _ = frames(program, 0, [moment.run], 0, 0, wse2())
    made = lowered(instruction, frame)
    memory = np.zeros((side, side, aligned(frame.top)), np.uint8)
    image.fill(memory, frame, before_one(earlier, moment, frame))
    one = FabricProgram(side, side, memory.shape[2], tuple(ring_paints(frame)), made.sections)
    return frame, simulate(one, Hardware.of(wse2()), memory=memory, threads=1)


@pytest.mark.parametrize("side", [3, 4, 5])
def test_products_by_shifts_have_the_bits_of_level_1_and_about_the_time_of_the_closed_form(side):
    graph, weights = randomly(replace(ONE_HEAD, layers=1))
    asked = Asked(graph, find_machine(f"toy-{side}x{side}"), side, side, 1, Bounds(1, 12))
    program = waferllm_prompt(asked)
    record = Record(program)
    MeshExecutor(program, weights.__getitem__, "wafer").step([(0, TOKENS)], record)
    kinds = []
    for earlier, moment in pairwise(record.moments):
        if isinstance(moment.instruction, isa.ShiftProduct | isa.ShiftScores):
            frame, outcome = alone(program, earlier, moment, side)
            assert outcome.status == "finished", outcome.waiting[:3]
            name = moment.instruction.result
            found, wanted = image.read(outcome.memory, frame, name), level1(frame, moment, name)
            seen = ~np.isnan(wanted)
            assert seen.any()
            assert (found.view(np.uint32) == wanted.view(np.uint32))[seen].all(), name
            if not getattr(moment.instruction, "aligned", False):
                clock = critical_path(wse2(), [moment.instruction], frame.shares, 1e9, synchronous=True).cost.cycles
                assert outcome.cycles == pytest.approx(clock, rel=0.25)
            kinds.append(type(moment.instruction))
    assert kinds.count(isa.ShiftScores) == 1
    assert kinds.count(isa.ShiftProduct) == 9


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 9, 660])
@pytest.mark.parametrize("step", [-1, 1])
def test_no_router_of_a_ring_uses_a_color_twice(side, step):
    order = ring(side)
    colors, used = coloring(order, step), [[] for _ in range(side)]
    assert sorted(order) == list(range(side))
    for number, place in enumerate(order):
        goal = order[(number + step) % side]
        assert abs(goal - place) <= 2
        for router in range(min(place, goal), max(place, goal) + 1):
            used[router].append(colors[place])
    assert all(len(set(found)) == len(found) for found in used)
    assert max(colors) < 3
