"""Ways of what passes from one region to another: which routers it takes, who sends, who hears. Knows rectangles alone.

Rows of a region hold shares, the same in each column. Beside each other, rows go straight on, along all columns. Above
each other, each row goes down a column of its own, and a core of the row that it arrives at sends it along that. Where
there are more rows than columns, neighboring rows take turns in one: behind what a row sends the switch of the next one
moves on, and lets that one send. What comes back from afar turns once, in an order in which no row crosses another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from undiced.core.errors import UnsupportedError
from undiced.program import Rect
from undiced.program.wafer.program import Region
from undiced.sim.fabric.program import Paint
from undiced.sim.fabric.roles import Role, progressions
from undiced.sim.fabric.routes import OPPOSITE, POSITIONS_MAX, Command, Control, Port, Switch, Way

_NEXT = Control(((Command.ADVANCE, 2),))  # the own router goes back, and the next one lets its core send
_ALL = Control()  # all routers on the way move on


@dataclass(frozen=True, slots=True)
class Sender:
    """Cores that send what they have on `color`.

    Attributes:
        last: their own switch moves on behind it. control: follows it.
    """

    role: Role
    color: int
    last: bool = False
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class Hearer:
    """Cores that hear on `color` what others are sent, then what they are sent, then what others are; and send that on.

    Attributes:
        onward: the color on which they send it on; -1: they don't.
    """

    role: Role
    color: int
    before: int = 0
    behind: int = 0
    onward: int = -1


@dataclass(frozen=True, slots=True)
class Passing:
    """One hand-over: by the numbers of its two colors."""

    paints: tuple[Paint, ...]
    senders: tuple[Sender, ...]
    hearers: tuple[Hearer, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The mesh, seen along the lines of a region: `u` counts places along a line, `v` lines; and a hand-over on it."""

    turned: bool
    before: Rect
    after: Rect

    # Coordinates

    def span(self, rect: Rect, *, across: bool) -> range:
        """The places of a rectangle along lines, or (`across`) the lines."""
        first, count = (rect.y, rect.height) if across != self.turned else (rect.x, rect.width)
        return range(first, first + count)

    def role(self, us: Iterable[int], vs: Iterable[int]) -> Role:
        """The cores at these places of these lines."""
        along, across = (progressions(sorted(set(at))) for at in (us, vs))
        return Role(across, along) if self.turned else Role(along, across)

    def port(self, *, u: int = 0, v: int = 0) -> Port:
        """The way to the next place or line, up or down."""
        x, y = (v, u) if self.turned else (u, v)
        if x:
            return Port.EAST if x > 0 else Port.WEST
        return Port.SOUTH if y > 0 else Port.NORTH

    def paint(self, us: Iterable[int], vs: Iterable[int], color: int, *ways: Way) -> list[Paint]:
        """The same for all routers there, if there are any."""
        us, vs = list(us), list(vs)
        return [Paint(self.role(us, vs), color, Switch(ways))] if us and vs else []

    # What passes

    def straight(self, color: int) -> Passing:
        """Row by row from the nearest column to all columns of a region beside."""
        before, after = (self.span(rect, across=False) for rect in (self.before, self.after))
        rows, up = self.span(self.before, across=True), after[0] > before[0]
        ahead = self.port(u=1 if up else -1)
        behind = OPPOSITE[ahead]
        edge, near, far = (before[-1], after[0], after[-1]) if up else (before[0], after[-1], after[0])
        between = range(edge + 1, near) if up else range(near + 1, edge)
        paints = [
            *self.paint([edge], rows, color, Way((Port.CORE,), (ahead,))),
            *self.paint(between, rows, color, Way((behind,), (ahead,))),
            *self.paint(set(after) - {far}, rows, color, Way((behind,), (Port.CORE, ahead))),
            *self.paint([far], rows, color, Way((behind,), (Port.CORE,))),
        ]
        hearer = Hearer(self.role(after, rows), color)
        return Passing(tuple(paints), (Sender(self.role([edge], rows), color),), (hearer,))

    def turning(self, down: int, along: int, columns: list[int]) -> Passing:
        """Row by row down (or up) these columns on one color, and along all columns of a row on the other."""
        before, after = (self.span(rect, across=True) for rect in (self.before, self.after))
        step = 1 if after[0] > before[0] else -1
        order = list(range(len(before)))[::step]  # the farthest from where it goes first
        together = -(-len(order) // len(columns))
        paints, senders, hearers = list[Paint](), list[Sender](), list[Hearer]()
        for column, first in zip(columns, range(0, len(order), together), strict=False):
            rows = order[first : first + together]
            from_, to = ([span[row] for row in rows] for span in (before, after))
            paints += self._column(column, from_, to, step, down)
            senders += [Sender(self.role([column], [row]), down, control=_NEXT) for row in from_[:-1]]
            senders.append(Sender(self.role([column], from_[-1:]), down, last=len(from_) > 1))
            for number, row in enumerate(to):
                made, others = self._row(column, row, along)
                behind = len(to) - 1 - number
                onward = along if others else -1
                hearers += [Hearer(self.role([column], [row]), down, number, behind, onward), *others]
                paints += made
        return Passing(tuple(paints), tuple(senders), tuple(hearers))

    def _column(self, column: int, from_: list[int], to: list[int], step: int, color: int) -> list[Paint]:
        """Senders that let pass what comes before theirs; the last of the rows that hear ends it."""
        ahead = self.port(v=step)
        behind, here = OPPOSITE[ahead], {*from_, *to}
        path = [row for row in range(from_[0], to[-1] + step, step) if row not in here]
        own, passed = Way((Port.CORE,), (ahead,)), Way((behind,), (ahead,))
        return [
            *self.paint([column], from_[:1], color, own),
            *self.paint([column], from_[1:], color, passed, own),
            *self.paint([column], path, color, passed),
            *self.paint([column], to[:-1], color, Way((behind,), (Port.CORE, ahead))),
            *self.paint([column], to[-1:], color, Way((behind,), (Port.CORE,))),
        ]

    def _row(self, column: int, row: int, color: int) -> tuple[list[Paint], list[Hearer]]:
        """From one core of a row to all others."""
        places, paints, sides = self.span(self.after, across=False), list[Paint](), list[Port]()
        others = [at for at in places if at != column]
        for step, side, end in (
            (1, range(column + 1, places[-1] + 1), places[-1]),
            (-1, range(places[0], column), places[0]),
        ):
            ahead = self.port(u=step)
            if not len(side):
                continue
            sides.append(ahead)
            through = Way((OPPOSITE[ahead],), (Port.CORE, ahead))
            paints += self.paint(set(side) - {end}, [row], color, through)
            paints += self.paint([end], [row], color, Way((OPPOSITE[ahead],), (Port.CORE,)))
        if sides:
            paints += self.paint([column], [row], color, Way((Port.CORE,), tuple(sides)))
        return paints, [Hearer(self.role(others, [row]), color)] if others else []

    def bent(self, color: int) -> Passing:
        """Row by row down (or up) a column, then along the row of its number to a region that lies aside.

        What turns first has the column nearest to where it goes, so that no row crosses another. Where there are more
        rows than columns, neighboring ones take turns in one: behind each all switches on its way move on.

        Raises:
            UnsupportedError: more rows share a column than a switch has positions.
        """
        before, after = (self.span(rect, across=True) for rect in (self.before, self.after))
        columns, wanted = (self.span(rect, across=False) for rect in (self.before, self.after))
        step, side = (1 if after[0] > before[0] else -1), (1 if wanted[0] > columns[0] else -1)
        together = -(-len(before) // len(columns))
        if together > POSITIONS_MAX:
            raise UnsupportedError(
                f"Regions of {len(before)} rows and {len(columns)} columns lie aside of each other: {together} rows "
                f"would share a column, and switches have {POSITIONS_MAX} positions.",
                remedy="Compile for regions of more columns, or of one lane.",
            )
        groups = [range(first, min(first + together, len(before))) for first in range(0, len(before), together)]
        order = columns[: len(groups)] if step != side else columns[: len(groups)][::-1]
        along = self.port(u=side)
        through = Way((OPPOSITE[along],), (along,))
        paints, senders = list[Paint](), list[Sender]()
        for column, rows in zip(order, groups, strict=True):
            from_, to = ([span[row] for row in rows][::step] for span in (before, after))
            paints += self._lane(column, from_, to, (step, side), color)
            paints += self.paint(
                range(column + 1, wanted[0]) if side > 0 else range(wanted[-1] + 1, column), to, color, through
            )
            control = _ALL if len(rows) > 1 else None
            senders += [Sender(self.role([column], [row]), color, control=control) for row in from_]
        end = wanted[-1] if side > 0 else wanted[0]
        paints += self.paint(set(wanted) - {end}, after, color, Way((OPPOSITE[along],), (Port.CORE, along)))
        paints += self.paint([end], after, color, Way((OPPOSITE[along],), (Port.CORE,)))
        return Passing(tuple(paints), tuple(senders), (Hearer(self.role(wanted, after), color),))

    def _lane(self, column: int, from_: list[int], to: list[int], ways: tuple[int, int], color: int) -> list[Paint]:
        """Rows that follow each other down a column (`ways`: up or down, and to which side), and turn at the rows `to`:
        each router lets pass what is before its own, or what turns behind it."""
        ahead, aside = self.port(v=ways[0]), self.port(u=ways[1])
        behind, here, last = OPPOSITE[ahead], {*from_, *to}, len(from_) - 1
        passed, own, turn = Way((behind,), (ahead,)), Way((Port.CORE,), (ahead,)), Way((behind,), (aside,))
        path = [row for row in range(from_[0], to[-1], ways[0]) if row not in here]
        paints = self.paint([column], path, color, passed)
        for number, (start, end) in enumerate(zip(from_, to, strict=True)):
            paints += self.paint([column], [start], color, *[passed] * number, own)
            paints += self.paint([column], [end], color, turn, *[passed] * (last - number))
        return paints

    def flood(self, color: int) -> Passing:
        """From one core of a region to all of another: along a line to it, along one of its rows, and from there on."""
        (us, vs), (wanted_u, wanted_v) = (
            (self.span(rect, across=False), self.span(rect, across=True)) for rect in (self.before, self.after)
        )
        row = _nearest(wanted_v, vs)
        level = row in vs
        side = 0 if not level and _nearest(us, wanted_u) in wanted_u else 1 if wanted_u[0] > us[0] else -1
        place = _nearest(us, wanted_u)
        paints = list[Paint]()
        entry = self.port(u=-side) if side else self.port(v=1 if vs[0] > row else -1)
        if level:
            start = row
        else:
            start, step = _nearest(vs, wanted_v), 1 if row > vs[0] else -1
            down = self.port(v=step)
            turn = self.port(u=side) if side else None
            passed = range(min(start, row) + 1, max(start, row))
            paints += self.paint([place], passed, color, Way((OPPOSITE[down],), (down,)))
            paints += self.paint([place], [start], color, Way((Port.CORE,), (down,)))
            if turn is not None:
                paints += self.paint([place], [row], color, Way((OPPOSITE[down],), (turn,)))
        if side:
            ahead = self.port(u=side)
            aside = range(place + 1, wanted_u[0]) if side > 0 else range(wanted_u[-1] + 1, place)
            paints += self.paint(aside, [row], color, Way((OPPOSITE[ahead],), (ahead,)))
            if level:
                paints += self.paint([place], [row], color, Way((Port.CORE,), (ahead,)))
        first = place if not side else wanted_u[0] if side > 0 else wanted_u[-1]
        paints += self._spread(first, row, entry, color)
        hearer = Hearer(self.role(wanted_u, wanted_v), color)
        return Passing(tuple(paints), (Sender(self.role([place], [start]), color),), (hearer,))

    def _spread(self, place: int, row: int, entry: Port, color: int) -> list[Paint]:
        """What comes into a region at one core by a port goes along its row, and from each core of that to all rows."""
        us, vs = self.span(self.after, across=False), self.span(self.after, across=True)
        paints = list[Paint]()
        off = [self.port(v=1)] * (row < vs[-1]) + [self.port(v=-1)] * (row > vs[0])
        for at in us:
            sides = [self.port(u=1)] * (place <= at < us[-1]) + [self.port(u=-1)] * (us[0] < at <= place)
            source = entry if at == place else self.port(u=-1 if at > place else 1)
            targets = (Port.CORE, *(to for to in (*sides, *off) if to != source))
            paints += self.paint([at], [row], color, Way((source,), targets))
        for step, lines in ((1, range(row + 1, vs[-1] + 1)), (-1, range(vs[0], row))):
            ahead, end = self.port(v=step), vs[-1] if step > 0 else vs[0]
            paints += self.paint(us, set(lines) - {end}, color, Way((OPPOSITE[ahead],), (Port.CORE, ahead)))
            if len(lines):
                paints += self.paint(us, [end], color, Way((OPPOSITE[ahead],), (Port.CORE,)))
        return paints


def _nearest(places: range, others: range) -> int:
    """The place that is nearest to others; one of them, if there is one."""
    if others[0] in places:
        return others[0]
    if places[0] in others:
        return places[0]
    return places[-1] if places[-1] < others[0] else places[0]


# Colors


def along(regions: tuple[Region, ...], number: int) -> int:
    """Which of the two colors between regions the cores of a region hear what comes along their rows on.

    Regions side by side alternate, and those aside of each other. Where one lies beneath the other, the other color is
    that of its columns.
    """
    return sum(beside(*pair) or aside(*pair) for pair in pairwise(regions[: number + 1])) % 2


def beside(before: Region, after: Region) -> bool:
    """Whether two regions have their rows on the same lines."""
    sheet = Sheet(after.turned, before.rect, after.rect)
    return sheet.span(before.rect, across=True)[0] == sheet.span(after.rect, across=True)[0]


def aside(before: Region, after: Region) -> bool:
    """Whether two regions have no column in common."""
    sheet = Sheet(after.turned, before.rect, after.rect)
    return set(sheet.span(before.rect, across=False)).isdisjoint(sheet.span(after.rect, across=False))


def columns(regions: tuple[Region, ...], number: int) -> list[int]:
    """The columns in which rows go down (or up) to a region of this number: not at the edge where it sends on to one
    beside it; other ones than those in which it is left downwards, or the one before was come to.

    Raises:
        UnsupportedError: none are left.
    """
    regions = tuple(region for n, region in enumerate(regions) if region.rect not in _rects(regions[:n]))
    before, after = regions[number - 1], regions[number]
    sheet = Sheet(after.turned, before.rect, after.rect)
    held = sheet.span(before.rect, across=False)
    places = [at for at in sheet.span(after.rect, across=False) if at in held]
    pairs = [regions[n - 1 : n + 1] for n in (number - 1, number + 1) if 0 < n < len(regions)]
    if any(not beside(*pair) for pair in pairs):
        places = places[number % 2 :: 2]
    if number + 1 < len(regions) and beside(after, regions[number + 1]):
        own, following = (sheet.span(each.rect, across=False) for each in (after, regions[number + 1]))
        places = [at for at in places if at != (own[-1] if following[0] > own[0] else own[0])]
    if not places:
        raise UnsupportedError(
            f"Region {after.name!r} has no column for what comes from region {before.name!r}.",
            remedy="Compile for regions of three columns or more.",
        )
    return places


def _rects(regions: tuple[Region, ...]) -> list[Rect]:
    return [region.rect for region in regions]
