"""Whole runs of a tiny model's region at level 2, beside what the mesh executor has after each instruction."""

from dataclasses import replace as changed

from msgspec.structs import replace
from support.fabric_steps import same, watched, written
from support.mesh_models import prompt, tiny
from support.meshes import compile_mesh

from undiced.compiler.wafer.colors import routed, used_by
from undiced.compiler.wafer.lower.choices import LEAN
from undiced.machine import wse3
from undiced.machine.fabric import fabric
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.value import Kind
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.lower import lower
from undiced.sim.fabric.simulate import simulate

FEW = changed(LEAN, row_slices=2, band_slices=2)  # as many slices as there are colors for


def routed_model(name, rows, columns, choices, tokens):
    """A program with colors and queues, its prompt, and all moments of the step of the last token."""
    graph, weights = tiny(name)
    program = compile_mesh(graph, rows, columns, choices=choices, context=64)
    used = used_by(program.streams, program.trees)
    streams = routed(program.streams, used, tuple(1.0 for _ in program.streams), fabric(wse3()))
    program, given = replace(program, streams=streams), prompt(name, tokens)
    return program, given, watched(program, weights, given)


def whole_run(program, given, moments, run):
    """A run of the first region by itself, on what level 1 has before it: its frame and the outcome."""
    made = lower(program, 0, [run], token=given[-1], position=len(given) - 1, wafer=wse3())
    frame, before = made.frames[0], [moment for moment in moments if moment.run < run]
    held = before[-1].arrays if before else {}
    states = {name: held[name] for name in held if name in frame.homes and frame.value(name).kind is Kind.STATE}
    lasting = next(moment.lasting for moment in moments if moment.run == run)
    memory = made.memory([{**lasting, **states}])
    return frame, simulate(made.program, Hardware.of(wse3()), memory=memory)


def differing_values(frame, outcome, moments, run):
    """Values of a run whose bits are not level 1's, in the order in which they were last written; and how many are."""
    last = {}
    for moment in moments:
        if moment.run == run and not isinstance(moment.instruction, isa.Slice):
            last |= {frame.shares.stored(name).name: (moment, name) for name in written(moment.instruction)}
    wrong = [name for moment, name in last.values() if not same(frame, outcome.memory, moment, name)]
    return wrong, len(last) - len(wrong)
