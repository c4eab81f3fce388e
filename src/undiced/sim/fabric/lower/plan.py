"""Where values of a region's runs lie in a core's memory at level 2: gaps, code and what other runs keep are left out.

Activations and states lie as the program says, counted from the lowest of them, because they share memory over time; or
one after the other in programs whose memory is not planned. What lasts follows, run by run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from undiced.program.wafer.again import Site, kept_elsewhere
from undiced.program.wafer.integers import scales
from undiced.program.wafer.memory import LASTING
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.value import DType, Kind, Value
from undiced.sim.fabric.lower.frame import aligned, size_of
from undiced.sim.fabric.lower.joined import Row, joined

_UNIT = 8  # bytes that homes are moved by, so that banks stay what they are


@dataclass(frozen=True, slots=True)
class Plan:
    """Of each run: homes of its values and its joined weights; and the first byte that nothing has."""

    homes: tuple[Mapping[str, int], ...]
    joined: tuple[Mapping[str, Row], ...]
    end: int


def plan(program: WaferProgram, sites: Sequence[tuple[int, int]]) -> Plan:
    """The memory of runs (region, run) on the same cores. What a run keeps that is not among them is there again."""
    streams = [program.streams[program.regions[region].runs[run].stream] for region, run in sites]
    shares = [Shares(values_of(program, stream), program.trees) for stream in streams]
    homes, end = _moving(shares)
    rows = [joined(stream.instructions, each) for stream, each in zip(streams, shares, strict=True)]
    for mine, each, row in zip(homes, shares, rows, strict=True):
        for value in _own(each, lasting=True):
            if value.name not in row or row[value.name].block == value.name:
                mine[value.name] = end
                end += _room(value.name, each, row.get(value.name))
            end = _scaled(mine, value.name, each, row.get(value.name), end)
        mine |= {name: mine[other.block] for name, other in row.items() if other.block in mine}
    for site, keeper in kept_elsewhere(program):
        if (site.region, site.run) in sites:
            number = sites.index((site.region, site.run))
            mine, at, lying = homes[number], _kept(keeper, sites, homes, rows), rows[number].get(site.name)
            if lying is not None and lying.block in mine:  # beside rows of another, which comes first
                mine[site.name] = mine[lying.block]
            else:
                mine[site.name] = end if at is None else at
                end += _room(site.name, shares[number], lying) if at is None else 0
            end = _scaled(mine, site.name, shares[number], lying, end)
    return Plan(tuple(homes), tuple(rows), end)


def _kept(
    keeper: Site | None, sites: Sequence[tuple[int, int]], homes: list[dict[str, int]], rows: list[dict[str, Row]]
) -> int | None:
    """Where a run among these keeps a weight as it is declared."""
    if keeper is None or (keeper.region, keeper.run) not in sites:
        return None
    index = sites.index((keeper.region, keeper.run))
    return None if keeper.name in rows[index] else homes[index][keeper.name]


def _own(shares: Shares, *, lasting: bool) -> list[Value]:
    """Values with memory of their own, states of other streams among them: regions hand on what they don't compute."""
    return [
        value
        for value in shares.values.values()
        if value.view is None and not value.again and (value.kind in LASTING) is lasting and shares.size(value.name)
    ]


def _scaled(homes: dict[str, int], name: str, shares: Shares, row: Row | None, end: int) -> int:
    """Room for the scales of integers, row by row; where it ends."""
    if row is None or not row.parts:
        return end
    homes[scales(name)] = end
    rows = shares.size(name) // len(row.places)
    return end + aligned(rows * len(row.parts) * size_of(DType.F16))


def _room(name: str, shares: Shares, row: Row | None = None) -> int:
    if row is not None and row.parts:
        return aligned(shares.size(name) // len(row.places) * row.bytes(shares.values[name].dtype))
    count = shares.size(name) if row is None else shares.size(name) // len(row.places) * row.pitch
    return aligned(count * size_of(shares.values[name].dtype))


def _moving(shares: list[Shares]) -> tuple[list[dict[str, int]], int]:
    """Homes of activations and states, and where they end."""
    owned = [_own(each, lasting=False) for each in shares]
    addresses = [value.address for values in owned for value in values]
    low = min(addresses, default=0)
    if low >= 0:
        homes = [{v.name: v.address - low // _UNIT * _UNIT for v in values} for values in owned]
    else:
        homes = _in_turn(owned, shares)
    ends = (at + _room(name, each) for found, each in zip(homes, shares, strict=True) for name, at in found.items())
    return homes, max(ends, default=0)


def _in_turn(owned: list[list[Value]], shares: list[Shares]) -> list[dict[str, int]]:
    """States first, which all streams have in one place."""
    states: dict[str, int] = {}
    at = 0
    for values, each in zip(owned, shares, strict=True):
        for value in values:
            if value.kind is Kind.STATE and value.name not in states:
                states[value.name], at = at, at + _room(value.name, each)
    homes = []
    for values, each in zip(owned, shares, strict=True):
        found, end = dict[str, int](), at
        for value in values:
            if value.kind is Kind.STATE:
                found[value.name] = states[value.name]
            else:
                found[value.name], end = end, end + _room(value.name, each)
        homes.append(found)
    return homes
