"""Layers of the published mappings at level 2: 16-bit sums, cores that wait for movers, colors of their own."""

import pytest
from msgspec.structs import replace
from support.fabric_steps import before, differing, watched
from support.mesh_models import prompt, tiny

from undiced.compiler.wafer.colors import routed
from undiced.compiler.wafer.published.build import build_whole
from undiced.core.errors import UnsupportedError
from undiced.machine import find_machine, wse2
from undiced.machine.fabric import fabric
from undiced.machine.timeline import critical_path
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.lower import lower
from undiced.sim.fabric.simulate import simulate

TOKENS = 6


@pytest.mark.parametrize("mapping", ["waferllm", "waferengine"])
def test_a_layer_has_the_bits_of_level_1(mapping):
    graph, weights = tiny("llama")
    given = prompt("llama", TOKENS)
    program = build_whole(graph, find_machine("toy-6x6"), mapping, "auto", Bounds(1, 64), 64)
    moments = watched(program, weights, given)
    alone = tuple(map(_unrouted, program.streams))
    program = replace(program, streams=routed(alone, program.trees, (1.0,) * len(alone), fabric(wse2())))
    for number, run in enumerate(program.regions[0].runs):
        stream = program.streams[run.stream]
        if run.layer != 0:
            continue
        made = lower(program, 0, [number], token=given[-1], position=TOKENS - 1, wafer=wse2())
        frame, mine = made.frames[0], [moment for moment in moments if moment.run == number]
        memory = made.memory([before(moments, number, frame)])
        outcome = simulate(made.program, Hardware.of(wse2()), memory=memory, threads=1)
        assert outcome.status == "finished"
        assert not differing(frame, outcome.memory, mine[-1]), stream.name
        clock = critical_path(wse2(), stream.instructions, frame.shares, 1e9, synchronous=True).cost.cycles
        assert outcome.cycles == pytest.approx(clock, rel=0.25)
        assert any(isinstance(i, isa.Repaint) for i in stream.instructions)


def test_trees_that_take_colors_in_turn_are_refused_by_name():
    program = build_whole(tiny("llama")[0], find_machine("toy-6x6"), "waferengine", "auto", Bounds(1, 64), 64)
    with pytest.raises(UnsupportedError, match="color 0 in turn") as refusal:
        lower(program, 0, [1], token=0, position=0, wafer=find_machine("toy-6x6"))
    assert "colors of their own" in refusal.value.remedy


def _unrouted(stream):
    """A stream whose movers have no colors yet."""
    instructions = (
        replace(i, route=None) if isinstance(i, isa.MOVERS) else i
        for i in stream.instructions
        if not isinstance(i, isa.Rebind)
    )
    return replace(stream, instructions=tuple(instructions))
