"""Chrome: tracks as a file of trace events (JSON), which Perfetto and chrome://tracing open. Knows the format alone.

A group is a process, a lane of a track is a thread. Times are microseconds at a clock, in whole nanoseconds, since
viewers keep no finer ones; exact cycles stand with every slice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from undiced.sim.trace.track import Arrow, Counter, Detail, End, Group, Slice

Event = dict[str, object]
_APART = 1000  # from one process's number to the next: more threads than one has


@dataclass(frozen=True, slots=True)
class _Clock:
    hz: float

    def microseconds(self, cycles: float) -> float:
        """In whole nanoseconds, so that neighbors still touch."""
        return round(cycles / self.hz * 1e9) / 1000


def document(
    groups: Sequence[Group], arrows: Sequence[Arrow], clock_hz: float, about: Mapping[str, Detail]
) -> Iterator[str]:
    """The file, an event a line.

    Args:
        about: what is said of the whole, such as that it is simulated.
    """
    yield f'{{"displayTimeUnit":"ns","otherData":{json.dumps(dict(about))},"traceEvents":['
    before = ""
    for event in _events(groups, arrows, _Clock(clock_hz)):
        yield f"{before}{json.dumps(event, separators=(',', ':'))}"
        before = ",\n"
    yield "]}\n"


def _events(groups: Sequence[Group], arrows: Sequence[Arrow], clock: _Clock) -> Iterator[Event]:
    where: dict[tuple[str, str], tuple[int, int]] = {}
    for number, group in enumerate(groups):
        process = (number + 1) * _APART
        yield _named(process, process, "process_name", "name", group.name)
        yield _named(process, process, "process_sort_index", "sort_index", number)
        if group.note:
            yield _named(process, process, "process_labels", "labels", group.note)
        thread = process
        for track in group.tracks:
            for lane, slices in enumerate(track.lanes()):
                thread += 1
                where.setdefault((group.name, track.name), (process, thread))
                name = f"{track.name} ({lane + 1})" if lane else track.name
                yield _named(process, thread, "thread_name", "name", name)
                yield _named(process, thread, "thread_sort_index", "sort_index", thread - process)
                yield from (_slice(one, process, thread, clock) for one in slices)
        for counter in group.counters:
            yield from _counted(counter, process, clock)
    for number, arrow in enumerate(arrows):
        for phase, end in (("s", arrow.source), ("f", arrow.target)):
            yield _end(arrow, number, phase, end, where[end.group, end.track], clock)


def _named(process: int, thread: int, what: str, key: str, value: str | int) -> Event:
    return {"ph": "M", "pid": process, "tid": thread, "name": what, "args": {key: value}}


def _slice(one: Slice, process: int, thread: int, clock: _Clock) -> Event:
    start, end = clock.microseconds(one.start), clock.microseconds(one.end)
    exact = {"from_cycle": round(one.start, 1), "cycles": round(one.end - one.start, 1)}
    return {
        "ph": "X",
        "pid": process,
        "tid": thread,
        "ts": start,
        "dur": round(end - start, 3),
        "name": one.name,
        **({"cat": one.category} if one.category else {}),
        "args": {**exact, **one.details},
    }


def _counted(counter: Counter, process: int, clock: _Clock) -> Iterator[Event]:
    for cycle, amount in counter.points:
        at, told = clock.microseconds(cycle), {counter.unit: round(amount, 4)}
        yield {"ph": "C", "pid": process, "tid": process, "ts": at, "name": counter.name, "args": told}


def _end(arrow: Arrow, number: int, phase: str, end: End, where: tuple[int, int], clock: _Clock) -> Event:
    """Bound to the slice that encloses it."""
    return {
        "ph": phase,
        "pid": where[0],
        "tid": where[1],
        "ts": clock.microseconds(end.at),
        "id": number + 1,
        "name": arrow.name,
        "cat": "arrow",
        **({"bp": "e"} if phase == "f" else {}),
    }
