"""Which queue of a core each color uses. Colors that a core has together get queues of their own while there are any.

A color has the same input queue in all cores that hear it, and the same output queue in all that send it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from undiced.sim.fabric.kernel.cores import Cores
from undiced.sim.fabric.kernel.operation import Begin, Color, Operation, Statement, Steer


@dataclass(slots=True)
class Queues:
    """The queues of one kind.

    Attributes:
        numbers: of the queues that there are, the first to be used first.
        of: the queue of each color. users: cores that have each color.
        shared: colors whose queue some core needs for another one, too.
    """

    numbers: tuple[int, ...]
    of: dict[Color, int] = field(default_factory=dict)
    users: dict[Color, list[Cores]] = field(default_factory=dict)
    shared: set[Color] = field(default_factory=set)
    _last: int = -1

    def assign(self, uses: Iterable[tuple[Color, Cores]]) -> None:
        """Give every color a queue, in the order of their first uses; where all are taken, in turn."""
        for color, cores in uses:
            had = self.users.setdefault(color, [])
            if cores not in had:
                had.append(cores)
        for color in self.users:
            taken = {self.of[other] for other in self.of if self._meet(color, other)}
            free = [number for number in self.numbers if number not in taken]
            if not free:
                self._last = (self._last + 1) % len(self.numbers)
            self.of[color] = free[0] if free else self.numbers[self._last]
        for color in self.of:
            others = [other for other in self.of if other != color and self.of[other] == self.of[color]]
            if any(self._meet(color, other) for other in others):
                self.shared.add(color)

    def _meet(self, a: Color, b: Color) -> bool:
        return any(one.meets(other) for one in self.users[a] for other in self.users[b])


def heard(statements: Iterable[Statement]) -> Iterator[Color]:
    """Colors from which a program takes wavelets."""
    for each in statements:
        if isinstance(each, Operation):
            yield from each.hears
        elif isinstance(each, Begin):
            yield from heard(each.operations)


def sent(statements: Iterable[Statement]) -> Iterator[Color]:
    """Colors on which a program sends."""
    for each in statements:
        if isinstance(each, Operation) and each.sends is not None:
            yield each.sends
        elif isinstance(each, Steer):
            yield each.color
        elif isinstance(each, Begin):
            yield from sent(each.operations)
