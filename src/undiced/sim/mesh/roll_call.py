"""The roll call: finds which core of a region fails. Every core sends a known operand, 1, along its row and along its
column; a line whose count is not the number of its cores, or never comes, has a core that fails, and lines cross there.

A program of its own, of the same instructions as any other, so that it is timed as any other. It needs nothing of the
program that was interrupted but where its regions lie.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
from msgspec.structs import replace as with_fields

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis, Dim, Part, Partial, Roots, Shard
from undiced.program.wafer.program import Run, Stream, WaferProgram
from undiced.program.wafer.tree import Level, Tree, roots
from undiced.program.wafer.value import Value
from undiced.sim.mesh.batch import Batch
from undiced.sim.mesh.caches import Caches
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.declarations import Declarations
from undiced.sim.mesh.executor import EXECUTORS
from undiced.sim.mesh.failing import Failure, disturb
from undiced.sim.mesh.ground import Ground
from undiced.sim.mesh.lines import by_line

Places = tuple[tuple[int, int], ...]
_NODE = "roll call"


def roll_call(program: WaferProgram, region: int) -> WaferProgram:
    """The program that counts the cores of a region, line by line: columns first, then rows."""
    one = program.regions[region]
    found = program.individual(one.wafer)
    assert found is not None, "failures are of wafers with maps"
    extents = {Axis.ROWS: one.rows, Axis.COLUMNS: one.columns}
    return with_fields(
        program,
        regions=(with_fields(one, wafer=0, runs=(Run(0), Run(1))),),
        individuals=(with_fields(found, wafer=0),),
        streams=tuple(_counting(axis, extent) for axis, extent in extents.items()),
        trees=tuple(_tree(extent) for extent in extents.values()),
        slots=(),
        facts=(),
    )


def _counting(axis: Axis, extent: int) -> Stream:
    """Of every line along an axis: 1 of each core, summed at the root of the axis' tree."""

    def value(name: str, dims: tuple[Dim, ...], part: Part) -> Value:
        along = axis is Axis.ROWS
        return Value(name, dims, rows=(part,) if along else (), columns=() if along else (part,))

    ones = value("ones", (Dim("core", extent),), Shard("core", extent))
    here = value("here", (), Partial("sum", extent))
    count = value("count", (), Roots(extent, int(axis), whole=True))
    return Stream(
        f"{_NODE} {axis.name.lower()}",
        (ones, here, count),
        (
            isa.Fill(_NODE, "ones", 1.0),
            isa.Fold(_NODE, "sum", "here", "ones"),
            isa.Reduce(_NODE, "sum", "count", "here", Line(axis, extent), "f32"),
        ),
    )


def _tree(span: int) -> Tree:
    """Chains of about as many cores as there are chains."""
    size = max(2, isqrt(span))
    levels = (Level(size), Level(-(-span // size))) if span > size else (Level(span),)
    return Tree(span, levels)


def answers(program: WaferProgram, region: int, failing: Failure | None) -> Places:
    """Physical cores (x, y) of a region that a roll call finds, one of which may fail; none if all lines are whole.

    Of several that fail at once, all crossings of their lines are named.
    """
    roll = roll_call(program, region)
    ground = Ground(roll.individuals[0], roll.regions[0])
    here = failing if failing is not None and failing.wafer == program.regions[region].wafer else None
    columns, rows = (_short(roll, axis, ground, here) for axis in Axis)
    return tuple((int(ground.x[row, column]), int(ground.y[row, column])) for row in rows for column in columns)


def _short(roll: WaferProgram, axis: Axis, ground: Ground, failing: Failure | None) -> list[int]:
    """Lines along an axis whose count is not that of their cores."""
    region, stream, line = roll.regions[0], roll.streams[axis], Line(axis, roll.trees[axis].span)
    one = np.zeros(1, dtype=np.int64)
    values = Declarations(stream.values, roll.trees)
    cores = Cores(region.rows, region.columns, "fp32", Batch(one, one, one, one + 1), None, ground)
    cores.begin(values, {}, Caches(region.rows, region.columns, values))
    for instruction in stream.instructions:
        if isinstance(instruction, isa.Reduce):
            disturb(cores, instruction.a, failing)
        EXECUTORS[type(instruction)](cores, instruction)
    counts = by_line(cores, cores.full(cores.read("count")), line)[:, 0, roots(roll.trees[axis])[0]]
    return [int(line) for line in np.flatnonzero(counts.reshape(len(counts), -1)[:, 0] != line.span)]
