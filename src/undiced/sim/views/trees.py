"""The view of trees: how sums go over the lines of a region, level by level, and at which cores they end.

A region is drawn once for all that are alike. Every line of cores along an axis has the same trees; what lies beside
the region stands for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from undiced.draw.canvas import Canvas, Point
from undiced.draw.color import KINDS
from undiced.draw.legend import legend, swatch
from undiced.draw.lettering import Box, shortened, wrapped
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.tree import Join, Tree, joins, roots
from undiced.sim.atlas.atlas import Atlas, Place
from undiced.sim.atlas.deeds import Who
from undiced.sim.views.sheet import MARGIN, Room
from undiced.sim.views.table import Column, Table

NOTE = (
    "How sums end up at roots. Beside a region, each level joins groups of cores, from the region outwards: a chain "
    "adds from core to core, in a star all send to the root. Dots are roots of groups; lines through the region are "
    "the cores at which the sums of all its lines end."
)
_HEIGHT = 600.0
_BELOW, _LEAST = 12.0, 24.0  # a region, for a letter; of a region's sides, however many trees it has
_LENS = 284.0  # pixels across
_BESIDE = 16.0  # a lens, for a letter
_KINDS_MOST = 3  # of regions that are drawn; tables have all
_STEP, _STEP_LENS, _APART, _DOT = 15.0, 8.0, 10.0, 2.2  # pixels a level, of a lens too; between trees; of a root
_FINE = 1.4  # pixels between members, below which they are one band
_SIZE = 11.0
_SLICES = tuple(KINDS[n] for n in (0, 1, 2, 4, 3, 5, 7, 8))


@dataclass(frozen=True, slots=True)
class _Use:
    """A tree over lines along an axis of a region."""

    axis: Axis
    number: int


@dataclass(frozen=True, slots=True)
class _Kind:
    """Regions of one shape that use the same trees."""

    across: int
    down: int
    turned: bool
    uses: tuple[_Use, ...]

    def along_x(self, axis: Axis) -> bool:
        """Whether lines along an axis lie from left to right."""
        return (axis is Axis.COLUMNS) != self.turned


def _kinds(atlas: Atlas) -> dict[_Kind, list[int]]:
    """Numbers of places that are alike, those that most are first."""
    uses: dict[int, set[_Use]] = defaultdict(set)
    for turn in atlas.turns:
        for deed in atlas.deeds[turn.stream]:
            if deed.who is Who.SUMS and deed.axis is not None and deed.tree >= 0:
                uses[turn.place].add(_Use(deed.axis, deed.tree))
    found: dict[_Kind, list[int]] = defaultdict(list)
    for number, place in enumerate(atlas.places):
        used = sorted(uses[number], key=lambda use: (use.axis, atlas.trees[use.number].span))
        found[_Kind(place.rect.width, place.rect.height, place.turned, tuple(used))].append(number)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def draw(atlas: Atlas, canvas: Canvas, room: Room, top: float) -> float:
    """Every kind of region with its trees, side by side; returns where they end."""
    drawn = [found for found in _kinds(atlas).items() if found[0].uses][:_KINDS_MOST]
    wide, bottom = (room.width - MARGIN) / max(len(drawn), 1) - MARGIN, top
    for number, (kind, places) in enumerate(drawn):
        x = MARGIN + number * (wide + MARGIN)
        canvas.text((x, top + 12), shortened(_called(atlas, kind, places), wide, 12), 12)
        y = _region(atlas, canvas, kind, Box(x, top + 24, wide, room.height or _HEIGHT), _STEP) + 16
        for line in (line for use in kind.uses for line in wrapped(_told(atlas, kind, use), wide, _SIZE)):
            canvas.text((x, y), line, _SIZE, "faint")
            y += 16
        bottom = max(bottom, y)
    return bottom


def _called(atlas: Atlas, kind: _Kind, places: list[int]) -> str:
    shape = f"{kind.across} x {kind.down} cores{', rows along x' * kind.turned}"
    names = ", ".join(atlas.places[n].name for n in places)
    return f"Region{'s' * (len(places) > 1)} of {shape}: {names}"


def _letter(kind: _Kind, use: _Use) -> str:
    return "ABCDEFGHIJKLMNOP"[kind.uses.index(use) % 16]


def _told(atlas: Atlas, kind: _Kind, use: _Use) -> str:
    tree = atlas.trees[use.number]
    axis = "rows" if use.axis is Axis.ROWS else "columns"
    ends = "one root" if tree.slices == 1 else f"{tree.slices} slices with a root each"
    return f"{_letter(kind, use)}: sums over {tree.span} {axis}: {levels(tree)}; {ends}"


def levels(tree: Tree) -> str:
    """In words, the first one first."""
    return ", then ".join(f"{'stars' if level.star else 'chains'} of {level.size}" for level in tree.levels)


def _region(atlas: Atlas, canvas: Canvas, kind: _Kind, room: Box, step: float) -> float:
    """The region with trees over x above it and trees over y on its left; returns where it ends."""
    above = [use for use in kind.uses if kind.along_x(use.axis)]
    aside = [use for use in kind.uses if not kind.along_x(use.axis)]
    high, wide = (sum(_depth(atlas, use, step) for use in uses) for uses in (above, aside))
    left = max(room.width - wide, _LEAST), max(room.height - high - _BELOW, _LEAST)
    scale = min(left[0] / kind.across, left[1] / kind.down)
    body = Box(room.x + wide, room.y + high, kind.across * scale, kind.down * scale)
    canvas.rect(body, "face", radius=2)
    for uses, along_x in ((above, True), (aside, False)):
        out = 0.0
        for use in uses:
            line = _Line(canvas, body, scale, step, out, along_x)
            with canvas.part("tree", use.number):
                _tree(line, atlas.trees[use.number], kind.across if along_x else kind.down)
                line.letter(_letter(kind, use), len(atlas.trees[use.number].levels))
            out += _depth(atlas, use, step)
    canvas.frame(body, "edge", 0.8, radius=2)
    return body.y + body.height + (_BELOW + 2 if aside else 0)


def _depth(atlas: Atlas, use: _Use, step: float) -> float:
    return len(atlas.trees[use.number].levels) * step + _APART


@dataclass(frozen=True, slots=True)
class _Line:
    """An edge of a region with a tree `out` pixels away from it; places are cores along it, heights levels."""

    canvas: Canvas
    body: Box
    scale: float
    step: float
    out: float
    along_x: bool

    @property
    def length(self) -> float:
        """Of the edge."""
        return self.body.width if self.along_x else self.body.height

    def at(self, place: float, level: float) -> Point:
        """Where a core's place, at some level, is drawn."""
        along, away = (place + 0.5) * self.scale, self.out + level * self.step + 3
        if self.along_x:
            return self.body.x + along, self.body.y - away
        return self.body.x - away, self.body.y + along

    def band(self, first: int, last: int) -> None:
        """What stands for members of the first level that are too many to draw."""
        (x0, y0), (x1, y1) = self.at(first, 0), self.at(last, 1)
        box = Box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
        self.canvas.rect(box, "face")

    def through(self, place: int, paint: str) -> None:
        """A line of cores through the region, from edge to edge."""
        x, y = self.at(place, 0)
        ends = [(x, self.body.y), (x, self.body.y + self.body.height)]
        if not self.along_x:
            ends = [(self.body.x, y), (self.body.x + self.body.width, y)]
        self.canvas.line(ends, paint, 1.2)

    def letter(self, letter: str, level: int) -> None:
        """Beside the tree, or below it."""
        if self.along_x:
            x, y = self.at(-0.5, level - 0.5)
            self.canvas.text((x - 6, y + 4), letter, _SIZE, "ink", "end", bold=True)
        else:
            x, y = self.at(0, level - 0.5)
            self.canvas.text((x, self.body.y + self.body.height + _BELOW), letter, _SIZE, "ink", "middle", bold=True)


def _tree(line: _Line, tree: Tree, cores: int) -> None:
    """A tree on each stretch of the line that it spans, slice beside slice."""
    stretches = range(0, cores - tree.span + 1, tree.span)
    if line.scale < _FINE:
        for first in stretches:
            line.band(first, first + tree.span - 1)
    for number in range(len(tree.levels)):
        with line.canvas.part("level", number):
            for which in range(tree.slices):
                _level(line, joins(tree, which)[number], number, stretches, which)
    for first in stretches:
        for which, root in enumerate(roots(tree)):
            line.through(first + root, _SLICES[which % len(_SLICES)])


def _level(line: _Line, groups: tuple[Join, ...], number: int, stretches: range, which: int) -> None:
    """One level of one slice, on every stretch that the tree spans: one path, and one of dots."""
    paint, upper = _SLICES[which % len(_SLICES)], number + 1 - which * 0.14
    drawn: list[tuple[Point, Point]] = []
    dots: list[tuple[Point, Point]] = []
    for first in stretches:
        for join in groups:
            members = sorted({join.root, *(member for arm in join.arms for member in arm)})
            root = line.at(first + join.root, upper)
            ends = (members[0], members[-1])
            near = (ends[1] - ends[0]) * line.scale / max(len(members) - 1, 1) < _FINE
            stems = (ends if join.star else ()) if near else members
            lower = [line.at(first + member, number) for member in stems]
            upon = [root if join.star else line.at(first + member, upper) for member in stems]
            drawn += zip(lower, upon, strict=True)
            if not join.star:
                drawn.append((line.at(first + ends[0], upper), line.at(first + ends[1], upper)))
            dots.append((root, root))
    line.canvas.strokes(drawn, paint, 0.8)
    apart = line.length / max(len(dots), 1)
    dot = _DOT * line.step / _STEP
    line.canvas.strokes(dots, paint, 2 * dot if apart > 3 * dot else dot)


def key(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """What the colors stand for."""
    most = max((tree.slices for tree in atlas.trees), default=0)
    entries = [(swatch(_SLICES[n]), f"slice {n + 1}, its roots") for n in range(min(most, len(_SLICES)))]
    if not any(kind.uses for kind in _kinds(atlas)):
        canvas.text((MARGIN, top + 10), "This program has no trees.", 12)
        return top + 20
    return legend(canvas, entries, MARGIN, top)


def table(atlas: Atlas) -> Table:
    """Every tree of every region."""
    columns = (
        Column("region"), Column("tree", "d"), Column("sums over"), Column("levels"), Column("slices", "d"),
        Column("roots at"),
    )  # fmt: skip
    rows = tuple(
        (number, _cells(atlas, atlas.places[number], use))
        for kind, places in _kinds(atlas).items()
        for number in places
        for use in kind.uses
    )
    return Table(columns, rows, (0, 2, 3, 5))


def _cells(atlas: Atlas, place: Place, use: _Use) -> tuple[str | float, ...]:
    tree = atlas.trees[use.number]
    cores = place.rows if use.axis is Axis.ROWS else place.columns
    axis = "rows" if use.axis is Axis.ROWS else "columns"
    over = f"{tree.span} {axis}" if tree.span > cores // 2 else f"each {tree.span} of {cores} {axis}"
    ends = ", ".join(map(str, roots(tree)))
    return place.name, use.number, over, levels(tree), tree.slices, ends


def lens(atlas: Atlas, height: float) -> Iterator[tuple[Canvas, list[int]]]:
    """Each kind of region by itself, no higher than that, with the places that it stands for."""
    for kind, places in _kinds(atlas).items():
        canvas = Canvas(_LENS + _BESIDE)
        canvas.height = _region(atlas, canvas, kind, Box(_BESIDE, 12, _LENS, height), _STEP_LENS) + 6
        yield canvas, places
