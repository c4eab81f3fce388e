"""Prompts of the published prefill on small squares: level 1's moments, and what level 2 has before a run."""

from dataclasses import replace

from support.fabric_steps import Record
from support.mesh_models import randomly

from undiced.compiler.wafer.published.asked import Asked
from undiced.compiler.wafer.published.waferllm import waferllm_prompt
from undiced.machine import find_machine
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.value import Kind
from undiced.sim.mesh.executor import MeshExecutor

LONGEST = 12


def prompted(config, side, tokens):
    """A model's program for prompts on a square, and all moments of one of them, in the wafer's numbers."""
    graph, weights = randomly(config)
    program = waferllm_prompt(Asked(graph, find_machine(f"toy-{side}x{side}"), side, side, 1, Bounds(1, LONGEST)))
    record = Record(program)
    MeshExecutor(program, weights.__getitem__, "wafer").step([(0, tokens)], record)
    return program, record.moments


def sent(moments, run, frame):
    """What cores hold before a run, and what the host sends them in it."""
    mine = [moment for moment in moments if moment.run == run]
    before = [moment for moment in moments if moment.run < run]
    held = before[-1].arrays if before else {}
    states = {name: held[name] for name in held if name in frame.homes and frame.value(name).kind is Kind.STATE}
    reads = [moment for moment in mine if isinstance(moment.instruction, isa.Read)]
    rows = {moment.instruction.result: moment.arrays[moment.instruction.result] for moment in reads}
    return {**mine[0].lasting, **states, **rows}


def alone(made, piece):
    """The program of one instruction of a run."""
    return replace(made.program, sections=made.program.sections[piece.sections.start : piece.sections.stop])
