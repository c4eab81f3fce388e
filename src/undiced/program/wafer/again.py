"""Weights that several runs on the same cores read and one of them keeps. Knows programs, no rule and no number."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from undiced.program.wafer.program import Region, Run, WaferProgram
from undiced.program.wafer.value import Kind, Value, Weights


class Site(NamedTuple):
    """A value of a run: of the region and the run of these numbers, by its name."""

    region: int
    run: int
    name: str


def kept_elsewhere(program: WaferProgram) -> Iterator[tuple[Site, Site | None]]:
    """Every weight that a run reads again, and who keeps it; None if nobody does.

    That is the same numbers, laid out and stored alike, at the same address of the same cores.
    """
    again = [[v for v in stream.values if v.again] for stream in program.streams]
    wanted = {_matrix(value.weights) for values in again for value in values}
    if not wanted:
        return
    kept = [[v for v in stream.values if _matrix(v.weights) in wanted and not v.again] for stream in program.streams]
    sites = {key: site for key, site in _sites(program, kept) if key is not None}
    for key, site in _sites(program, again):
        yield site, sites.get(key)


def _matrix(held: Weights | None) -> Weights | None:
    """What it is, whichever run says so."""
    return replace(held, later=0) if held is not None and held.later else held


def _sites(program: WaferProgram, values: list[list[Value]]) -> Iterator[tuple[Hashable, Site]]:
    for at, region in enumerate(program.regions):
        for number, run in enumerate(region.runs):
            for value in values[run.stream]:
                yield _what(region, run, value), Site(at, number, value.name)


def _what(region: Region, run: Run, value: Value) -> Hashable:
    """What of a weight has to be equal; None for what is no weight with memory of its own."""
    held = value.weights
    if held is None or value.kind is not Kind.WEIGHT or value.view is not None:
        return None
    source = _matrix(held), run.layer + held.later if held.layer else -1, run.start if held.shared else 0
    place = region.wafer, region.rect, region.turned, run.base + value.address if value.address >= 0 else -1
    return source, place, value.dims, value.dtype, value.rows, value.columns
