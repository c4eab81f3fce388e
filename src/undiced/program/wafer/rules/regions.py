"""Rules of regions, their runs, and trees: where streams run. Knows no value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from undiced.program import Rect
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.limits import SIZE_MAX, SLICES_MAX, WAYS_MAX
from undiced.program.wafer.rules.rectangles import Box, meeting
from undiced.program.wafer.tree import Tree, separate


def regions(program: WaferProgram, mesh: tuple[int, int] | None) -> Faults:
    """Rectangles on the mesh (width, height), streams that exist, and no core in two of them."""
    if not program.regions:
        yield Fault("there are no regions")
    for region in program.regions:
        rect, where = region.rect, f"region {region.name!r}"
        width, height = mesh or (WAYS_MAX, WAYS_MAX)
        if min(rect.x, rect.y) < 0 or min(rect.width, rect.height) < 1 or not 0 <= region.wafer < WAYS_MAX:
            yield Fault(f"{where} covers {rect} of wafer {region.wafer}")
        elif rect.x + rect.width > width or rect.y + rect.height > height:
            yield Fault(f"{where} covers {rect}, beyond the mesh of {width} x {height}", "Compile it for this machine.")
        for number, run in enumerate(region.runs):
            if not 0 <= run.stream < len(program.streams):
                yield Fault(f"run {number} of {where} has stream {run.stream} of {len(program.streams)}")
            if run.layer < -1 or not 0 <= run.start <= SIZE_MAX or run.base < 0:
                yield Fault(f"run {number} of {where} has layer {run.layer}, start {run.start}, base {run.base}")
    yield from _overlaps(program)
    yield from _ends(program)


def _ends(program: WaferProgram) -> Faults:
    """Of a chunk only last tokens are left once an end of the model has run."""
    ended = ""
    for region in program.regions:
        for run in region.runs:
            stream = program.streams[run.stream] if 0 <= run.stream < len(program.streams) else None
            if stream is not None and ended and not stream.last:
                yield Fault(f"stream {stream.name!r} runs all tokens of a chunk after {ended!r}, which ran the last")
            ended = stream.name if stream is not None and stream.last else ended


def _overlaps(program: WaferProgram) -> Faults:
    """Regions of one wafer are the same rectangle, or apart."""
    by_wafer: dict[int, dict[Rect, str]] = defaultdict(dict)
    for region in program.regions:
        by_wafer[region.wafer].setdefault(region.rect, region.name)
    for wafer, named in by_wafer.items():
        rects = list(named)
        found = meeting([Box(r.x, r.x + r.width, r.y, r.y + r.height) for r in rects])
        if found is not None:
            a, b = (rects[number] for number in found)
            yield Fault(f"regions {named[a]!r} and {named[b]!r} share cores of wafer {wafer}: {a}, {b}")


def trees(program: WaferProgram) -> Faults:
    """Complete, wide enough for their slices, with a root of its own for each."""
    for number, tree in enumerate(program.trees):
        yield from (Fault(f"tree {number} {what}") for what in _tree(tree))


def _tree(tree: Tree) -> Iterator[str]:
    sizes = [level.size for level in tree.levels]
    if not 1 <= tree.span <= WAYS_MAX or not 1 <= len(sizes) <= 16 or not all(1 <= n <= WAYS_MAX for n in sizes):
        yield f"has levels of {sizes[:16]} over {tree.span} cores"
    elif not tree.complete:
        yield f"does not join its {tree.span} cores into one root: levels of {sizes}"
    elif not 1 <= tree.slices <= min(SLICES_MAX, tree.span):
        yield f"has {tree.slices} slices over {tree.span} cores"
    elif tree.slices > 1 and (min(sizes[0], tree.span) < tree.slices or not separate(tree)):
        yield f"has no core of its own for each of {tree.slices} roots: levels of {sizes}"
