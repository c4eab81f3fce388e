"""A router of the fabric's twin, cycle by cycle: what it holds, and which wavelets it moves. Knows no operation.

All routers choose by the state at the cycle's start; only then wavelets move.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.routes import COMMANDS_MAX, OPPOSITE, Command, Port, Switch, Way

_PORTS = tuple(Port)
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
        self.served: dict[int, int] = {}  # when a color last moved
        self.first_port: dict[int, int] = {}

    def paint(self, color: int, switch: Switch) -> None:
        """Gives a color its switch, at the first position."""
        assert color not in self.switches
        self.switches[color], self.positions[color] = switch, 0

    def way(self, color: int) -> Way | None:
        """Where wavelets of a color go now."""
        switch = self.switches.get(color)
        return None if switch is None else switch.ways[self.positions[color]]

    def holds(self) -> bool:
        """Whether wavelets are in its buffers or in the output queues of its core."""
        return any(self.buffers.values()) or any(self.core.outputs)

    def choose(self, now: int) -> list[Move]:
        """What moves in this cycle, at most one wavelet of a color, those first that moved longest ago."""
        moves, taken, ramp_used = list[Move](), set[Port](), False
        for color in sorted(self.switches, key=lambda color: (self.served.get(color, -1), color)):
            move = self._move(color, now, taken, ramp_used)
            if move is not None:
                moves.append(move)
                taken |= set(move.targets)
                ramp_used |= move.port is Port.CORE
                self.served[color] = now
        return moves

    def _move(self, color: int, now: int, taken: set[Port], ramp_used: bool) -> Move | None:
        way = self.way(color)
        if way is None:
            return None
        first = self.first_port.get(color, 0)
        for port in (*_PORTS[first:], *_PORTS[:first]):
            if port not in way.sources or (port is Port.CORE and ramp_used):
                continue
            source = self._source(color, port, now)
            if source is None:
                continue
            targets = tuple(to for to in way.targets if source[0].commands is None or to is not Port.CORE)
            if all(to not in taken and self._open(color, to, now) for to in targets):
                self.first_port[color] = (port + 1) % len(_PORTS)
                return Move(source, port, targets)
        return None

    def _source(self, color: int, port: Port, now: int) -> deque[Wavelet] | None:
        """The queue whose head of that color came by that port and may move."""
        held = self.core.outputs if port is Port.CORE else [self.buffers[color, port]]
        return next((q for q in held if q and q[0].color == color and q[0].free <= now), None)

    def _open(self, color: int, to: Port, now: int) -> bool:
        """Whether a wavelet can go there: a link that does not stand still, and room behind it."""
        if to is Port.CORE:
            queue = self.core.hears.get(color)
            depth = 0 if queue is None else self.hardware.inputs[queue] + self.hardware.ramp
            return queue is not None and len(self.core.inputs[queue]) < depth
        there = self.neighbors[to].buffers[color, OPPOSITE[to]]
        return now >= self.links[to].still and len(there) < self.hardware.router_words

    def carry_out(self, moves: list[Move], now: int) -> int:
        """Moves the wavelets, turns switches and lets links rest; the latest cycle that something now waits for."""
        used = {to for move in moves for to in move.targets}
        latest = now
        for move in moves:
            wavelet = move.source.popleft()
            command, left = passed(wavelet.commands)
            for to in move.targets:
                latest = max(latest, self._deliver(wavelet, left, to, now))
            if move.port is Port.CORE and wavelet.advance:
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
