"""A router of the fabric's twin, cycle by cycle: what it holds, and which wavelets it moves. Knows no operation.

All routers choose by the state at the cycle's start; only then wavelets move.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from dataclasses import dataclass, field

from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.routes import COMMANDS_MAX, OPPOSITE, Command, Port, Switch, Way

_RAMP = -1  # from the core into the router, among its links
Commands = tuple[tuple[Command, int], ...]


@dataclass(slots=True)
class Wavelet:
    """32 bits of a color, to be moved or used from cycle `free` on.

    Attributes:
        commands: what a control wavelet still has to do; None: of data.
        advance: the sender's own switch moves on when this has passed it.
    """

    color: int
    bits: int
    free: int
    commands: Commands | None = None
    advance: bool = False


@dataclass(slots=True)
class Link:
    """One direction of a link: how many wavelets it has passed without a pause between them, for how long it has been
    idle, and until when it stands still."""

    row: int = 0
    idle: int = 0
    still: int = 0


@dataclass(slots=True)
class Move:
    """A wavelet at the head of `source`, which came by `port`, goes to all `targets`."""

    source: deque[Wavelet]
    port: Port
    targets: tuple[Port, ...]


@dataclass(slots=True)
class Core:
    """What a router sees of its core: output queues, input queues, and which of these hears a color."""

    outputs: list[deque[Wavelet]]
    inputs: list[deque[Wavelet]]
    hears: dict[int, int] = field(default_factory=dict)


class Underway(Exception):
    """A wavelet of a color, from a port, is on its way by a route that is written over: at the router of `place`."""

    def __init__(self, color: int, port: Port) -> None:
        super().__init__(color, port)
        self.color, self.port, self.place = color, port, (-1, -1)


class Router:
    """Switches and buffers of one router."""

    def __init__(self, hardware: Hardware, core: Core) -> None:
        self.hardware, self.core = hardware, core
        self.switches: dict[int, Switch] = {}
        self.positions: dict[int, int] = {}
        self.buffers = defaultdict[tuple[int, Port], deque[Wavelet]](deque)
        self.neighbors: dict[Port, Router] = {}
        self.links = {port: Link() for port in Port if port is not Port.CORE}
        self.loads = dict.fromkeys(Port, 0)
        self.first = 0  # the head that is looked at first
        self.ports: set[tuple[int, Port]] = set()  # colors, and where they may ever come from

    def paint(self, color: int, switch: Switch) -> None:
        """Gives a color its switch, at the first position."""
        assert color not in self.switches
        self.switches[color], self.positions[color] = switch, 0
        self.may_get(color, switch)

    def may_get(self, color: int, switch: Switch) -> None:
        """A color has this switch at some time."""
        self.ports |= {(color, port) for way in switch.ways for port in way.sources}

    def repaint(self, color: int, switch: Switch | None, now: int) -> None:
        """Gives a color another switch, at its first position.

        Raises:
            Underway: a wavelet is here that the old one lets pass in some position.
        """
        old = self.switches.pop(color, None)
        for port in sorted({port for way in old.ways for port in way.sources} if old else ()):
            held = self.buffers[color, port] if port is not Port.CORE else itertools.chain(*self.core.outputs)
            came = now + self.hardware.hop if port is not Port.CORE else None  # what is sent in this cycle is not here
            if any(wavelet.color == color and wavelet.free != came for wavelet in held):
                raise Underway(color, port)
        if switch is not None:
            self.switches[color] = switch
        self.positions[color] = 0

    def way(self, color: int) -> Way | None:
        """Where wavelets of a color go now."""
        switch = self.switches.get(color)
        return None if switch is None else switch.ways[self.positions[color]]

    def holds(self) -> bool:
        """Whether wavelets are in its buffers or in the output queues of its core."""
        return any(self.buffers.values()) or any(self.core.outputs)

    def choose(self, now: int) -> list[Move]:
        """What moves in this cycle. Of heads that want one link, the one behind the winner is the first to be next."""
        heads = self._heads()
        moves, taken, refused = list[Move](), dict[int, int](), False
        for n in [*range(self.first, len(heads)), *range(self.first)]:
            source, port = heads[n]
            move = self._ready(source, port, now)
            if move is None or any(self._still(to, now) for to in move.targets):
                continue
            links = [*([_RAMP] if port is Port.CORE else []), *sorted(move.targets)]
            winners = [taken[link] for link in links if link in taken]
            if not winners:
                moves.append(move)
                taken.update(dict.fromkeys(links, n))
            elif not refused:
                refused, self.first = True, (winners[0] + 1) % len(heads)
        return moves

    def _heads(self) -> list[tuple[deque[Wavelet], Port]]:
        """What may hold the next wavelet: all buffers by color and port, then the output queues of the core."""
        buffers = [(self.buffers[at], at[1]) for at in sorted(self.ports) if at[1] is not Port.CORE]
        return [*buffers, *[(queue, Port.CORE) for queue in self.core.outputs]]

    def _ready(self, source: deque[Wavelet], port: Port, now: int) -> Move | None:
        """How its first wavelet moves, if its switch accepts it and there is room at all its targets."""
        if not source or source[0].free > now:
            return None
        way = self.way(source[0].color)
        if way is None or port not in way.sources:
            return None
        targets = tuple(to for to in way.targets if source[0].commands is None or to is not Port.CORE)
        return Move(source, port, targets) if all(self._room(source[0].color, to) for to in targets) else None

    def _room(self, color: int, to: Port) -> bool:
        if to is Port.CORE:
            queue = self.core.hears.get(color)
            return queue is not None and len(self.core.inputs[queue]) < self.hardware.inputs[queue] + self.hardware.ramp
        return len(self.neighbors[to].buffers[color, OPPOSITE[to]]) < self.hardware.router_words

    def _still(self, to: Port, now: int) -> bool:
        """Whether a link pauses; ramps never do."""
        return to is not Port.CORE and now < self.links[to].still

    def carry_out(self, moves: list[Move], now: int) -> int:
        """Moves the wavelets, turns switches and lets links rest; the latest cycle that something now waits for."""
        used = {to for move in moves for to in move.targets}
        latest = now
        for move in moves:
            wavelet = move.source.popleft()
            command, left = passed(wavelet.commands)
            for to in move.targets:
                latest = max(latest, self._deliver(wavelet, left, to, now))
            if wavelet.advance:
                command = Command.ADVANCE
            self.turn(wavelet.color, command)
        for port, link in self.links.items():
            latest = max(latest, self._rest(link, port in used, now))
        return latest

    def _deliver(self, wavelet: Wavelet, left: Commands | None, to: Port, now: int) -> int:
        self.loads[to] += 1
        color, hardware = wavelet.color, self.hardware
        if to is Port.CORE:
            queue, free = self.core.inputs[self.core.hears[color]], now + hardware.ramp
        else:
            queue, free = self.neighbors[to].buffers[color, OPPOSITE[to]], now + hardware.hop
        queue.append(Wavelet(color, wavelet.bits, free, left))
        return free

    def _rest(self, link: Link, used: bool, now: int) -> int:
        pause = self.hardware.pause
        link.row, link.idle = link.row + used, 0 if used else link.idle + 1
        if link.idle >= pause:
            link.row = 0
        if pause and link.row == self.hardware.run:
            link.row, link.still = 0, now + 1 + pause
        return max(now, link.still)

    def turn(self, color: int, command: Command) -> None:
        """Moves a switch on, or back to its first position."""
        switch, position = self.switches[color], self.positions[color]
        if command is Command.RESET:
            self.positions[color] = 0
        if command is Command.ADVANCE:
            last = len(switch.ways) - 1
            self.positions[color] = position + 1 if position < last else 0 if switch.ring else last


def passed(commands: Commands | None) -> tuple[Command, Commands | None]:
    """What a control wavelet does to the router that it passes, and what it then has left."""
    if not commands:
        return Command.NOTHING, commands
    assert len(commands) <= COMMANDS_MAX
    (command, times), rest = commands[0], commands[1:]
    return command, (commands if times == 0 else rest if times == 1 else ((command, times - 1), *rest))
