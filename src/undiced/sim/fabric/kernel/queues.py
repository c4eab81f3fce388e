"""Which queue of a core each color uses. Colors that a core has together get queues of their own while there are any.

A color has the same input queue in all cores that hear it, and the same output queue in all that send it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from undiced.sim.fabric.kernel.cores import Area, Cores
from undiced.sim.fabric.kernel.operation import Begin, Color, Operation, Rewrite, Statement, Steer


@dataclass(slots=True)
class Queues:
    """The queues of one kind.

    Attributes:
        numbers: of the queues that there are, the first to be used first.
        width, height: of the mesh. of: the queue of each color. users: cores that have each color.
        shared: colors whose queue some core needs for another one, too.
    """

    numbers: tuple[int, ...]
    width: int
    height: int
    of: dict[Color, int] = field(default_factory=dict)
    users: dict[Color, Area] = field(default_factory=dict)
    shared: set[Color] = field(default_factory=set)
    _last: int = -1

    def assign(self, uses: Iterable[tuple[Color, Cores]]) -> None:
        """Give every color a queue, in the order of their first uses; where all are taken, in turn."""
        for color, cores in uses:
            if color not in self.users:
                self.users[color] = Area(self.width, self.height)
            self.users[color].add(cores)
        for color in self.users:
            taken = {self.of[other] for other in self.of if self.users[color].overlaps(self.users[other])}
            free = [number for number in self.numbers if number not in taken]
            if not free:
                self._last = (self._last + 1) % len(self.numbers)
            self.of[color] = free[0] if free else self.numbers[self._last]
        for color in self.of:
            others = [other for other in self.of if other != color and self.of[other] == self.of[color]]
            if any(self.users[color].overlaps(self.users[other]) for other in others):
                self.shared.add(color)


def operations(statements: Iterable[Statement]) -> Iterator[Operation]:
    """All of a program, those of its microthreads too."""
    for each in statements:
        if isinstance(each, Operation):
            yield each
        elif isinstance(each, Begin):
            yield from operations(each.operations)


def heard(statements: Iterable[Statement]) -> Iterator[Color]:
    """Colors from which a program takes wavelets."""
    for each in operations(statements):
        yield from each.hears


def rewritten(statements: Iterable[Statement]) -> Iterator[Rewrite]:
    """All switches that a program writes, its microthreads too."""
    for each in statements:
        if isinstance(each, Rewrite):
            yield each
        elif isinstance(each, Begin):
            yield from rewritten(each.operations)


def sent(statements: Iterable[Statement]) -> Iterator[Color]:
    """Colors on which a program sends."""
    for each in statements:
        if isinstance(each, Operation) and each.sends is not None:
            yield each.sends
        elif isinstance(each, Steer):
            yield each.color
        elif isinstance(each, Begin):
            yield from sent(each.operations)
