"""The obvious twin of the fabric's simulator: one loop over cycles, all routers and then all cores, nothing clever.

It has the meaning and the timing of `undiced.sim.fabric`'s programs by a reading of its own. It is for small meshes,
and knows neither skew nor jitter.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from support.fabric_twin_core import MAIN, Spans, TwinCore, rewritten
from support.fabric_twin_router import Router, Underway

from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import MicroOp
from undiced.sim.fabric.outcome import Outcome, Status, Waiting
from undiced.sim.fabric.program import FabricProgram
from undiced.sim.fabric.routes import STEP, Port

Place = tuple[int, int]
LIMIT = 100_000


def twin(
    program: FabricProgram, hardware: Hardware, *, memory: NDArray[np.uint8] | None = None, limit: int = LIMIT
) -> Outcome:
    """What the program does."""
    return _Mesh(program, hardware, memory).run(limit)


class _Mesh:
    """All cores with their routers, and the counts of a run."""

    def __init__(self, program: FabricProgram, hardware: Hardware, memory: NDArray[np.uint8] | None) -> None:
        self.program = program
        shape = (program.height, program.width, program.memory_bytes)
        self.memory = np.zeros(shape, np.uint8) if memory is None else memory.copy()
        self.spans = Spans({}, {})
        self.cores: dict[Place, TwinCore] = {
            (x, y): TwinCore(hardware, self.memory[y, x], self.spans)
            for y in range(program.height)
            for x in range(program.width)
        }
        self.moved = self.stepped = -1  # the last cycles in which a router or a core did something
        self.latest = 0  # the last cycle that anything waits for
        self.active = 0
        for place, core in self.cores.items():
            self._join(place, core.router)
            core.start(self._blocks(place))

    def _join(self, place: Place, router: Router) -> None:
        for port, (dx, dy) in STEP.items():
            beside = self.cores.get((place[0] + dx, place[1] + dy))
            if beside is not None:
                router.neighbors[port] = beside.router
        for paint in self.program.paints:
            if place in paint.role:
                router.paint(paint.color, paint.switch)
        for _, script in self._blocks(place):
            for color, switch in rewritten(script):
                router.may_get(color, switch)

    def _blocks(self, place: Place) -> list[tuple[int, tuple[MicroOp, ...]]]:
        return [
            (number, script)
            for number, section in enumerate(self.program.sections)
            for role, script in section.blocks
            if place in role
        ]

    def run(self, limit: int) -> Outcome:
        """Cycle by cycle until all has ended, nothing can happen, or the limit is reached."""
        start = perf_counter()
        for now in range(limit + 1):
            self._cycle(now)
            if self._ended() and self._cycles() <= limit:
                return self._outcome("finished", self._cycles(), start)
            if now > max(self.moved, self.stepped) and now >= self.latest:
                return self._outcome("deadlock", max(self.moved, self.stepped) + 1, start)
        return self._outcome("limit", limit, start)

    def _cycle(self, now: int) -> None:
        moves = {place: core.router.choose(now) for place, core in self.cores.items()}
        for place, core in self.cores.items():
            self.latest = max(self.latest, core.router.carry_out(moves[place], now))
            if moves[place]:
                self.moved = now
        for place, core in self.cores.items():
            try:
                stepped = core.step(now)
            except Underway as fault:
                fault.place = place
                raise
            if stepped:
                self.stepped = now
            self.active += bool(moves[place]) or core.handled
            self.latest = max(self.latest, core.latest)

    def _ended(self) -> bool:
        return all(core.done() and not core.router.holds() and not any(core.inputs) for core in self.cores.values())

    def _cycles(self) -> int:
        return max(self.moved + 1, *(self._finished(core) for core in self.cores.values()))

    def _finished(self, core: TwinCore) -> int:
        return max(thread.end for thread in core.threads)

    def _outcome(self, status: Status, cycles: int, start: float) -> Outcome:
        sections = range(len(self.program.sections))
        spans = [(self.spans.began.get(n, 0), self.spans.ended.get(n, 0)) for n in sections]
        return Outcome(
            status=status,
            cycles=cycles,
            memory=self.memory,
            finished=self._grid([self._finished(core) for core in self.cores.values()]),
            loads=self._grid([[core.router.loads[port] for port in Port] for core in self.cores.values()]),
            busy=self._grid([core.busy for core in self.cores.values()]),
            sections=np.array(spans, np.uint32).reshape(-1, 2),
            hops=sum(core.router.loads[port] for core in self.cores.values() for port in STEP),
            active=self.active,
            worked=sum(core.worked for core in self.cores.values()),
            seconds=perf_counter() - start,
            waiting=() if status == "finished" else tuple(self._waiting()),
        )

    def _grid(self, of_cores: list[int] | list[list[int]]) -> NDArray[np.uint32]:
        made = np.array(of_cores, np.uint32)
        return made.reshape(self.program.height, self.program.width, *made.shape[1:])

    def _waiting(self) -> list[Waiting]:
        """Threads that have not ended, heads of what routers hold, and what nobody has read."""
        found = list[Waiting]()
        for (x, y), core in self.cores.items():
            for number, thread in enumerate(core.threads):
                if thread.life is not None:
                    name = "the main thread" if number == MAIN else f"microthread {number}"
                    section = self.program.sections[thread.section].name
                    found.append(Waiting(x, y, name, section, type(thread.operation).__name__, ""))
            unread = core.inputs if core.done() else []
            heads = [queue[0].color for queue in [*core.router.buffers.values(), *core.outputs, *unread] if queue]
            found += [Waiting(x, y, "the router", "", "", f"color {color}") for color in heads]
        return found
