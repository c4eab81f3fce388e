"""Random fabric programs for Hypothesis: flows over lines and bends with colors of their own, by threads of all kinds.

Programs are valid and most of them end: every core takes part in flows in the same order. Memory is written at random.
Floats lie in the lower half of memory, 16-bit floats in the upper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.fabric_programs import Script
from support.fabric_random_chores import HALF_BYTES, Chores, Number, Payload, Place

from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import Bind, In, MicroOp, Out, Repaint, Turn
from undiced.sim.fabric.program import FabricProgram, Paint, Section
from undiced.sim.fabric.roles import Places, Role, progressions
from undiced.sim.fabric.routes import OPPOSITE, STEP, Command, Control, Port, Switch, Way

_COLORS = 24
_ADVANCE_REST = Control(((Command.ADVANCE, 0),))
_ADVANCE_OWN = Control(((Command.ADVANCE, 1),))


@dataclass(frozen=True, slots=True)
class Case:
    """A program with its machine and memory."""

    program: FabricProgram
    hardware: Hardware
    memory: NDArray[np.uint8]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Cases that Hypothesis draws, so that it can make them small."""
    return drawn(lambda low, high: draw(st.integers(low, high)))


def seeded(seed: int) -> Case:
    """A case by a seed, much faster."""
    return drawn(Random(seed).randint)


def drawn(number: Number) -> Case:
    """A program of one to four flows, each of a color or two; or of up to eight that crowd on few cores, or on a mesh
    that threads share."""
    hardware = _hardware(number)
    width, height, flows = ((5, 5, 4), (3, 3, 8), (2, 40, 8))[number(0, 2)]
    writer = _Writer(number, number(2, width), number(1, height), hardware)
    for _ in range(number(1, flows)):
        writer.flow()
    numbers = np.random.default_rng(number(0, 99))
    shape = (writer.height, writer.width)
    floats = numbers.integers(-4, 5, (*shape, HALF_BYTES // 4)).astype(np.float32).view(np.uint8)
    halves = numbers.integers(-4, 5, (*shape, HALF_BYTES // 2)).astype(np.float16).view(np.uint8)
    return Case(writer.program(), hardware, np.concatenate([floats, halves], axis=2))


def _hardware(number: Number) -> Hardware:
    """A machine of any kind."""
    pauses = [(0, 0), (0, 0), (8, 1), (3, 1), (1, 1), (3, 2)][number(0, 5)]
    ramp, hop, words = number(1, 3), number(1, 2), number(1, 3)
    depths = [tuple(number(1, 6) for _ in range(8)) for _ in range(2)]
    return Hardware(ramp, hop, *pauses, words, depths[0], depths[1], number(0, 1) == 1, _COLORS, 8)


class _Writer(Chores):
    """Writes flows into a program: paints along their paths, and chores of their cores."""

    def __init__(self, number: Number, width: int, height: int, hardware: Hardware) -> None:
        super().__init__(number, hardware)
        self.width, self.height = width, height
        self.paints: dict[tuple[int, Switch], list[Place]] = defaultdict(list)
        self.colors = list(range(hardware.colors))

    def flow(self) -> None:
        """Another flow, in this section or the next."""
        self.section += self.number(0, 1)
        kinds: tuple[Callable[[list[Place]], None], ...] = (
            self._multicast,
            self._join,
            self._chain,
            self._star,
            self._addressed,
            self._merge,
            self._gate,
            self._there_and_back,
        )
        self.pick(*kinds)(self._path())

    def program(self) -> FabricProgram:
        """All flows together."""
        paints = tuple(
            Paint(role, color, switch) for (color, switch), places in self.paints.items() for role in _roles(places)
        )
        sections = []
        for number in range(self.section + 1):
            alike = defaultdict[Script, list[Place]](list)
            for place, doing in self.doing.items():
                alike[tuple(doing.scripts[number])].append(place)
            blocks = tuple((role, script) for script, places in alike.items() if script for role in _roles(places))
            sections.append(Section(f"section {number}", blocks))
        return FabricProgram(self.width, self.height, 2 * HALF_BYTES, paints, tuple(sections))

    # Flows

    def _multicast(self, path: list[Place]) -> None:
        """A core sends both ways to the ends, and to some of those between."""
        payload, color, at = self.payload(), self._color(), self.number(0, len(path) - 1)
        for n, place in enumerate(path):
            onward = tuple(
                _port(place, path[m]) for m in (n - 1, n + 1) if 0 <= m < len(path) and abs(m - at) > abs(n - at)
            )
            own = n != at and (not onward or self.pick(True, False))
            source = Port.CORE if n == at else _port(place, path[n - 1 if n > at else n + 1])
            self._paint(place, color, Switch((Way((source,), ((Port.CORE,) if own else ()) + onward),)))
            if n == at:
                self.sends(place, color, payload)
            elif own:
                self.receives(place, color, payload)

    def _join(self, path: list[Place]) -> None:
        """A core between two others takes what both send, two wavelets a beat."""
        if len(path) < 3:
            self._multicast(path)
            return
        payload, colors, at = self.payload(), (self._color(), self._color()), self.number(1, len(path) - 2)
        for color, side in zip(colors, (path[: at + 1], path[: at - 1 : -1]), strict=True):
            for n, place in enumerate(side[:-1]):
                self._paint(place, color, Switch((Way((_from(side, n),), (_port(place, side[n + 1]),)),)))
            self._paint(path[at], color, Switch((Way((_from(side, len(side) - 1),), (Port.CORE,)),)))
            self.sends(side[0], color, payload)

        def written(thread: int) -> list[MicroOp]:
            a, b = (In(thread + 4 * n, color, payload.dtype) for n, color in enumerate(colors))
            return [replace(self.vector(payload, None), function="subtract", a=a, b=b, c=None)]

        self.does(path[at], written)

    def _chain(self, path: list[Place]) -> None:
        """Each core joins its own with what comes, and passes it on."""
        payload, colors = self.payload(), (self._color(), self._color())
        for n, place in enumerate(path):
            out, into = colors[n % 2], colors[(n + 1) % 2]
            if n:
                self._paint(place, into, Switch((Way((_from(path, n),), (Port.CORE,)),)))
            if n < len(path) - 1:
                self._paint(place, out, Switch((Way((Port.CORE,), (_port(place, path[n + 1]),)),)))
            if n == 0:
                self.sends(place, out, payload)
            elif n < len(path) - 1:
                self.passes(place, into, out, payload)
            else:
                self.receives(place, into, payload)

    def _star(self, path: list[Place]) -> None:
        """All cores send to the last, the nearest first, for one or two rounds: switches let the next pass."""
        payload, color, rounds = self.payload(), self._color(), self.number(1, 2)
        members = path[:-1]
        for n, place in enumerate(members):
            own = Way((Port.CORE,), (_port(place, path[n + 1]),))
            ways = (own,) if n == 0 else (own, Way((_from(path, n),), own.targets))
            self._paint(place, color, Switch(ways))
        self._paint(path[-1], color, Switch((Way((_from(path, len(members)),), (Port.CORE,)),)))
        for n, place in enumerate(members):
            outs = [self._opens_next(color, payload, n == 0) for _ in range(rounds)]
            self.does(place, partial(self.sending, place, payload=payload, outs=outs))
        self.hears(path[-1], color, [payload] * (len(members) * rounds))

    def _opens_next(self, color: int, payload: Payload, last: bool) -> Out:
        """What opens the own switch behind its payload, or those of all if it is the last."""
        out = Out(0, color, payload.dtype)
        if last:
            return replace(out, control=_ADVANCE_REST)
        return self.pick(replace(out, advance=True), replace(out, control=_ADVANCE_OWN))

    def _addressed(self, path: list[Place]) -> None:
        """A control wavelet opens one router of the path to its core; what is left of the path is closed again."""
        payload, color, to = self.payload(), self._color(), self.number(1, len(path) - 1)
        for n, place in enumerate(path):
            on = Way((_from(path, n),), (Port.CORE,) if n == len(path) - 1 else (_port(place, path[n + 1]),))
            stay = Way((_from(path, n),), (Port.CORE,))
            self._paint(place, color, Switch((on,) if n == 0 else (on, stay), self.pick(True, False)))
        then = self.pick((), ((Command.NOTHING, 1),), ((Command.RESET, 0),), ((Command.RESET, 2),))
        control = Control(((Command.NOTHING, to), (Command.ADVANCE, 1), *then))
        self.sends(path[0], color, payload, before=control)
        self.receives(path[to], color, payload)

    def _merge(self, path: list[Place]) -> None:
        """Cores send to the last whenever they can, all by one way."""
        payload, color = self.payload(), self._color()
        for n, place in enumerate(path[:-1]):
            sources = (Port.CORE,) if n == 0 else self.pick((Port.CORE, _from(path, n)), (_from(path, n), Port.CORE))
            self._paint(place, color, Switch((Way(sources, (_port(place, path[n + 1]),)),)))
            self.sends(place, color, payload)
        self._paint(path[-1], color, Switch((Way((_from(path, len(path) - 1),), (Port.CORE,)),)))
        self.hears(path[-1], color, [payload] * (len(path) - 1))

    def _gate(self, path: list[Place]) -> None:
        """A multicast to the last, past a core that keeps its switch closed until it has time."""
        payload, color = self.payload(), self._color()
        closed = self.number(0, len(path) - 1)
        for n, place in enumerate(path):
            on = Way((_from(path, n),), (Port.CORE,) if n == len(path) - 1 else (_port(place, path[n + 1]),))
            shut = Way((next(port for port in Port if port not in on.sources),), on.targets)
            self._paint(place, color, Switch((shut, on) if n == closed else (on,)))
        if closed < len(path) - 1:
            self.does(path[closed], lambda thread: [Turn(color, 1, self.cycles())])
        else:
            self.into_main(path[closed], Turn(color, 1, self.cycles()))
        self.sends(path[0], color, payload)
        self.receives(path[-1], color, payload)

    def _there_and_back(self, path: list[Place]) -> None:
        """A multicast to all; then every router gets the color's way back, on which the last core sends to the first.

        Some cores may write it too early, whatever is on its way then.
        """
        payload, color, hasty = self.payload(), self._color(), self.number(0, 3) == 3
        for n, place in enumerate(path):
            onward = (_port(place, path[n + 1]),) if n < len(path) - 1 else ()
            to = onward if 0 < n < len(path) - 1 and hasty and self.pick(True, False) else (Port.CORE, *onward)
            source = _from(path, n)
            self._paint(place, color, Switch((Way((source,), onward if n == 0 else to),)))
            back = Way(onward or (Port.CORE,), (source,))
            write = Repaint(color, Switch((back,) * self.number(1, 2)), self.cycles())
            self.does(place, partial(self._turned_round, place, color, payload, write, n == 0, not onward, to))

    def _turned_round(
        self,
        place: Place,
        color: int,
        payload: Payload,
        write: Repaint,
        first: bool,
        last: bool,
        to: tuple[Port, ...],
        thread: int,
    ) -> list[MicroOp]:
        """What a core does for it, the first one once its queue is empty. Some have no way in between."""
        written = [Repaint(color, None, self.cycles()), write] if self.pick(True, False) else [write]
        if first:
            sent = self.sending(place, thread, payload, [Out(0, color, payload.dtype)])
            return [*sent, Bind(thread, color), *written, self.heard(payload, color, thread)]
        heard = [self.heard(payload, color, thread)] if Port.CORE in to else []
        sent = self.sending(place, thread, payload, [Out(0, color, payload.dtype)]) if last else []
        return [*heard, *written, *sent]

    # Routes

    def _color(self) -> int:
        return self.colors.pop(self.number(0, len(self.colors) - 1))

    def _paint(self, place: Place, color: int, switch: Switch) -> None:
        self.paints[color, switch].append(place)

    def _path(self) -> list[Place]:
        """Two cores or more, each beside the one before, none of them twice."""
        path = [(self.number(0, self.width - 1), self.number(0, self.height - 1))]
        for _ in range(self.number(1, 7)):
            x, y = path[-1]
            beside = [(x + dx, y + dy) for dx, dy in STEP.values()]
            free = [(x, y) for x, y in beside if 0 <= x < self.width and 0 <= y < self.height and (x, y) not in path]
            if not free:
                break
            path.append(self.pick(*free))
        return path


def _port(place: Place, then: Place) -> Port:
    step = (then[0] - place[0], then[1] - place[1])
    return next(port for port, towards in STEP.items() if towards == step)


def _from(path: list[Place], n: int) -> Port:
    """The port by which what goes along the path comes to its n-th core."""
    return Port.CORE if n == 0 else OPPOSITE[_port(path[n - 1], path[n])]


def _roles(places: list[Place]) -> list[Role]:
    """These places row by row, as progressions."""
    rows = defaultdict[int, list[int]](list)
    for x, y in places:
        rows[y].append(x)
    return [Role(progressions(sorted(xs)), (Places(y, y + 1),)) for y, xs in rows.items()]
