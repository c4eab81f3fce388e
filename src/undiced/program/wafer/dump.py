"""A wafer program as stable text: regions, runs, trees, and each stream's values and instructions, a line each.

For eyes, diffs and golden files; equal programs give equal text. Layouts are said as rules and errors say them.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from undiced.program.wafer.individual import Individual
from undiced.program.wafer.instruction import Instruction, Line, Route
from undiced.program.wafer.layout import FLAT, Axis, Dim, Spread
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.spreads import WORDS, words
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Growth, Kind, Table, Value, View, Weights, shard_of


def lines(program: WaferProgram) -> Iterator[str]:
    """What a program consists of, but its head and its slots."""
    yield from map(_individual, program.individuals)
    for region in program.regions:
        yield _region(region)
        yield from (f"  {_run(run, program)}" for run in region.runs)
    yield from (f"tree {number}: {_tree(tree)}" for number, tree in enumerate(program.trees))
    for stream in program.streams:
        yield from _stream(stream)


def _individual(one: Individual) -> str:
    moved = ", ".join(f"row {s.row} {s.start}..{s.stop - 1} by {s.by}" for s in one.shifts)
    cuts = ", ".join(f"{cut.x},{cut.y} {cut.way}" for cut in one.cuts)
    dead = ", ".join(f"{x},{y}" for x, y in one.dead)
    return f"wafer {one.wafer} of map {one.map!r}: dead [{dead}], cut [{cuts}], moved [{moved}]"


def _region(region: Region) -> str:
    r = region.rect
    turned = ", rows along x" * region.turned
    return f"region {region.name!r} wafer {region.wafer}: {r.width} x {r.height} at {r.x},{r.y}{turned}"


def _run(run: Run, program: WaferProgram) -> str:
    layer = f" layer {run.layer}" if run.layer >= 0 else ""
    start = f" from {run.start}" if run.start else ""
    base = f" at {run.base:#x}" if run.base else ""
    return f"run {program.streams[run.stream].name!r}{layer}{start}{base}"


def _tree(tree: Tree) -> str:
    levels = ", ".join(f"{'star' if level.star else 'chain'} of {level.size}" for level in tree.levels)
    slices = f", {tree.slices} slices" if tree.slices > 1 else ""
    return f"{tree.span} cores by {levels}{slices}"


def _stream(stream: Stream) -> Iterator[str]:
    yield f"stream {stream.name!r}{' of last tokens' * stream.last}"
    yield from (f"  {value_line(value)}" for value in stream.values)
    yield from (f"  {number}: {instruction_line(each)}" for number, each in enumerate(stream.instructions))


def value_line(value: Value) -> str:
    """A value: its dimensions (size/ways where cores share it), type, layout, and what it is or where it lies."""
    dims = ", ".join(_dim(value, dim) for dim in value.dims)
    kind = "" if value.kind is Kind.ACTIVATION else f"{value.kind.value} "
    parts = [f"{kind}{value.name} ({dims}) {value.dtype.value}"]
    parts += [f"{WORDS[axis]}:{words(_spread(value, axis))}" for axis in Axis]
    parts += [_view(value.view)] if value.view else []
    parts += [_weights(value.weights)] if value.weights else []
    parts += [_table(value.table)] if value.table else []
    parts += ["again"] if value.again else []
    parts += ["once"] if value.once else []
    parts += [f"at {value.address:#x}"] if value.address >= 0 else []
    return " ".join(parts)


def _spread(value: Value, axis: Axis) -> Spread | None:
    """How it lies along an axis; None for flat memory of which each core has its own."""
    parts = value.rows if axis is Axis.ROWS else value.columns
    return parts if parts or all(dim.name != FLAT for dim in value.dims) else None


def _dim(value: Value, dim: Dim) -> str:
    part = shard_of(value, dim.name)
    size = str(dim.size) if dim.size else "rest"
    return f"{dim.name} {size}/{part.ways}" if part else f"{dim.name} {size}"


def _view(view: View) -> str:
    every = f" {view.pick}..{view.pick + view.count - 1} of every {view.of}" if view.of > 1 else ""
    return f"in {view.parent}[{view.offset}:]{every}"


def _weights(held: Weights) -> str:
    order = ", ".join(f"{dim.name} {dim.size}" for dim in held.order)
    among = held.among or len(held.columns)
    columns = f" columns {_ranges(held.columns)} of {among} by {', '.join(held.picked)}" if held.columns else ""
    shared = f" {held.shared} by runs, {held.step[1]} for {held.step[0]}" if held.shared else ""
    scale = f" times {held.scale:g}" if held.scale != 1.0 else ""
    layer = "layer's " if held.layer and held.role else ""
    return f"<- {layer}{held.role or 'ones'} ({order}){columns}{shared}{scale}"


def _ranges(numbers: tuple[int, ...]) -> str:
    """Numbers in their order, evenly spaced ones as first..last by step."""
    out, at = [], 0
    while at < len(numbers):
        end = at + 1
        step = numbers[end] - numbers[at] if end < len(numbers) else 1
        while end < len(numbers) and numbers[end] - numbers[end - 1] == step:
            end += 1
        end = end if end - at > 2 else at + 1
        by = f" by {step}" if step != 1 else ""
        out.append(f"{numbers[at]}..{numbers[end - 1]}{by}" if end - at > 1 else str(numbers[at]))
        at = end
    return "[" + ", ".join(out) + "]"


def _table(table: Table) -> str:
    if isinstance(table, Growth):
        return f"<- 1 + {table.scale:g} log(1 + floor((position + 1) / {table.floor}))"
    first, last = (f"{each:g}" for each in (table.frequencies[0], table.frequencies[-1]))
    divided = f" by {table.divisors}" if table.divisors else ""
    return (
        f"<- {table.part} of {len(table.frequencies)} frequencies {first} to {last}{divided}, "
        f"{table.turned} times {table.magnitude:g}"
    )


def instruction_line(instruction: Instruction) -> str:
    """An instruction with its operands by name; what is as usual is left out."""
    return " ".join((type(instruction).__name__.lower(), *_fields(instruction))) + f"  # {instruction.node}"


def _fields(instruction: Struct) -> Iterator[str]:
    names = instruction.__struct_fields__
    usual = dict(zip(reversed(names), reversed(instruction.__struct_defaults__), strict=False))
    for name in names:
        value = getattr(instruction, name)
        if name != "node" and not (name in usual and usual[name] == value):
            yield f"{name}={_written(value)}"


def _written(value: object) -> str:
    if isinstance(value, Line):
        return f"{WORDS[value.axis]}/{value.span}"
    if isinstance(value, Route):
        return f"{value.color}+{value.colors} in {value.input_queue} out {value.output_queue}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
