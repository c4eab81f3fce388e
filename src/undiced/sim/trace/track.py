"""Track: slices of time under a name, in groups, and arrows between them; in cycles. Knows no program and no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Detail = str | int | float


@dataclass(frozen=True, slots=True)
class Slice:
    """Something that takes from one cycle to another.

    Attributes:
        category: what kind of thing it is; viewers color and filter by it.
    """

    name: str
    start: float
    end: float
    category: str = ""
    details: Mapping[str, Detail] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Track:
    """Slices below one name; those that overlap are laid beside each other."""

    name: str
    slices: tuple[Slice, ...]

    def lanes(self) -> Iterator[tuple[Slice, ...]]:
        """The slices in as few lanes as they need: in each, a slice lies inside another one or beside it."""
        lanes: list[list[Slice]] = []
        opened: list[list[float]] = []  # ends of the slices that enclose the next one, the innermost last
        for one in sorted(self.slices, key=lambda one: (one.start, -one.end)):
            lane = next((n for n, ends in enumerate(opened) if _takes(ends, one)), len(lanes))
            if lane == len(lanes):
                lanes.append([])
                opened.append([])
            lanes[lane].append(one)
            opened[lane].append(one.end)
        yield from map(tuple, lanes)


def _takes(ends: list[float], one: Slice) -> bool:
    while ends and ends[-1] <= one.start:
        ends.pop()
    return not ends or one.end <= ends[-1]


@dataclass(frozen=True, slots=True)
class Counter:
    """An amount that changes at some cycles: what it is from each of them on, in order."""

    name: str
    unit: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Tracks of one place: a region, a core, what lies between wafers.

    Attributes:
        note: stands beside its name.
    """

    name: str
    tracks: tuple[Track, ...]
    note: str = ""
    counters: tuple[Counter, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """One end of an arrow: a moment on the first lane of a track of a group, by their names."""

    group: str
    track: str
    at: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one slice to another."""

    name: str
    source: End
    target: End
