"""Fabric: what the cycle-level simulator told of steps and of watched cores, as tracks. Simulates nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import ceil

from undiced.sim.fabric.outcome import Outcome
from undiced.sim.trace.track import Group, Slice, Track

_MAIN = 8  # the number of the main thread; microthreads have those before
_WATCHED = 16  # cores along a side of the mesh, at most


def watched(width: int, height: int) -> tuple[tuple[int, int], ...]:
    """Cores (x, y) that stand for a mesh: all of a small one, of a large one some at equal distances."""
    step = ceil(max(width, height) / _WATCHED)
    return tuple((x, y) for y in range(0, height, step) for x in range(0, width, step))


def groups(steps: Sequence[str], outcome: Outcome) -> Iterator[Group]:
    """The steps, by the names of the program's sections, and then every watched core with its threads."""
    spans = zip(steps, outcome.sections.tolist(), strict=True)
    found = tuple(Slice(name, start, end, "step") for name, (start, end) in spans if end > start)
    yield Group("steps", (Track("from the first core to the last", found),))
    cores: dict[tuple[int, int], dict[int, list[Slice]]] = defaultdict(lambda: defaultdict(list))
    for event in outcome.events:
        one = Slice(event.operation, event.start, event.end, "operation", {"step": steps[event.section]})
        cores[event.y, event.x][event.thread].append(one)
    for (y, x), threads in sorted(cores.items()):
        tracks = (Track(_thread(number), tuple(slices)) for number, slices in sorted(threads.items(), key=_first))
        yield Group(f"core ({x}, {y})", tuple(tracks))


def _thread(number: int) -> str:
    return "main thread" if number == _MAIN else f"microthread {number}"


def _first(thread: tuple[int, list[Slice]]) -> tuple[bool, int]:
    """The main thread before the others."""
    return thread[0] != _MAIN, thread[0]
