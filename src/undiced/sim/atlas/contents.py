"""Contents: which parts of the model each place holds, half-layers and parts of blocks included.

Knows programs; what a stream is for is told by its instructions and values, and by the names of its nodes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.lifetimes import OUTPUTS
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.value import Kind

_SIXTEENTHS = 16  # parts of a block are told in fractions no finer
_EXPERTS = "moe"  # how a graph's nodes of experts begin
_FORWARD = {"ffn", _EXPERTS}  # and those of any feed-forward block


class Role(StrEnum):
    """What a run is for."""

    HAND_OVER = "hand-over"
    TABLES = "tables by position"
    EMBEDDING = "embedding"
    ATTENTION = "attention"
    FEED_FORWARD = "feed-forward"
    EXPERTS = "experts"
    LAYER = "whole layer"
    HEAD = "head"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Part:
    """A share of one layer's attention, of its feed-forward block, or of both in one."""

    layer: int
    role: Role
    share: Fraction

    def __str__(self) -> str:
        return str(self.role) if self.share == 1 else f"{self.share} of {self.role}"

    @property
    def short(self) -> str:
        """In two or four characters: a, f 1/2."""
        letter = {Role.ATTENTION: "a", Role.LAYER: ""}.get(self.role, "f")
        return letter if self.share == 1 else f"{letter} {self.share}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What one place holds of the model.

    Attributes:
        whole: layers that lie here alone. cut: parts of layers that lie in several places.
        replays: how often a token runs each of them; more than 1 where a benchmark runs one layer again and again.
    """

    embedding: bool
    head: bool
    whole: tuple[int, ...]
    cut: tuple[Part, ...]
    replays: int = 1

    @property
    def pattern(self) -> str:
        """What it holds but for the numbers of layers: places of one pattern are alike."""
        whole = [f"{len(self.whole)} whole layer{'s' * (len(self.whole) > 1)}"] if self.whole else []
        ends = ["embedding"] * self.embedding, ["head"] * self.head
        return ", ".join([*ends[0], *whole, *map(str, self.cut), *ends[1]])

    @property
    def lines(self) -> tuple[str, ...]:
        """In words, one part a line, in the order of layers."""
        if self.replays > 1:
            middle = [f"one layer, run {self.replays} times"]
        else:
            parts = self._by_layer()
            middle = [_line(ends, ", ".join(map(str, parts[ends[0]]))) for ends in self._stretches()]
        return tuple(["embedding"] * self.embedding + middle + ["head"] * self.head)

    @property
    def short(self) -> str:
        """In few characters: E · 0-1 · 2 a f 3/4."""
        if self.replays > 1:
            middle = [f"{self.replays} x 1"]
        else:
            parts = self._by_layer()
            middle = [" ".join([_range(*ends), *(p.short for p in parts[ends[0]])]) for ends in self._stretches()]
        return " · ".join(["E"] * self.embedding + middle + ["H"] * self.head)

    def _by_layer(self) -> dict[int, list[Part]]:
        found: dict[int, list[Part]] = defaultdict(list)
        for part in self.cut:
            found[part.layer].append(part)
        return found

    def _stretches(self) -> list[tuple[int, int]]:
        """First and last of whole layers that follow each other; a layer that is cut stands alone."""
        found: list[tuple[int, int]] = []
        whole = set(self.whole)
        for layer in sorted({*whole, *(part.layer for part in self.cut)}):
            if found and layer == found[-1][1] + 1 and {layer, found[-1][0]} <= whole:
                found[-1] = found[-1][0], layer
            else:
                found.append((layer, layer))
        return found


def _line(ends: tuple[int, int], parts: str) -> str:
    return f"layer{'s' * (ends[1] > ends[0])} {_range(*ends)}" + (f": {parts}" if parts else "")


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def role(stream: Stream, of_layer: bool) -> Role:
    """What a stream is for, run with or without a layer's weights."""
    kinds = {type(i) for i in stream.instructions}
    if of_layer:
        return _in_layer(stream, kinds)
    if kinds & {isa.Transfer, isa.Return}:
        return Role.HAND_OVER
    if any(value.name in OUTPUTS for value in stream.values):
        return Role.HEAD
    if any(isinstance(i, isa.Read) or (isinstance(i, isa.Lookup) and i.index == "token") for i in stream.instructions):
        return Role.EMBEDDING
    return Role.TABLES if isa.Lookup in kinds else Role.OTHER


def _in_layer(stream: Stream, kinds: set[type[isa.Instruction]]) -> Role:
    attends = isa.ShiftScores in kinds or any(value.kind is Kind.CACHE for value in stream.values)
    blocks = {i.node.split(".")[0] for i in stream.instructions}
    if attends:
        return Role.LAYER if blocks & _FORWARD else Role.ATTENTION
    return Role.EXPERTS if _EXPERTS in blocks else Role.FEED_FORWARD


def contents(program: WaferProgram) -> tuple[Contents, ...]:
    """Of every place, in the program's order of them."""
    roles = [(role(stream, False), role(stream, True)) for stream in program.streams]
    widths = [_width(stream) for stream in program.streams]
    held: list[dict[tuple[int, Role], int]] = []
    totals: dict[tuple[int, Role], int] = defaultdict(int)
    where: dict[int, set[int]] = defaultdict(set)
    for number, visits in enumerate(program.places):
        own: dict[tuple[int, Role], int] = defaultdict(int)
        for run in dict.fromkeys(run for visit in visits for run in visit.runs):
            if run.layer >= 0:
                own[run.layer, roles[run.stream][True]] += widths[run.stream]
                where[run.layer].add(number)
        for key, width in own.items():
            totals[key] += width
        held.append(own)
    out = []
    for visits, own in zip(program.places, held, strict=True):
        runs = [run for visit in visits for run in visit.runs]
        ends = {roles[run.stream][0] for run in runs if run.layer < 0}
        again = Counter((run.stream, run.layer) for run in runs if run.layer >= 0)
        out.append(_contents(ends, max(again.values(), default=1), own, totals, where))
    return tuple(out)


def _contents(
    ends: set[Role],
    replays: int,
    own: dict[tuple[int, Role], int],
    totals: dict[tuple[int, Role], int],
    where: dict[int, set[int]],
) -> Contents:
    whole = sorted({layer for layer, _ in own if len(where[layer]) == 1})
    cut = [
        Part(layer, what, Fraction(width, max(totals[layer, what], 1)).limit_denominator(_SIXTEENTHS))
        for (layer, what), width in own.items()
        if len(where[layer]) > 1
    ]
    return Contents(Role.EMBEDDING in ends, Role.HEAD in ends, tuple(whole), tuple(cut), replays)


def _width(stream: Stream) -> int:
    """Of the dimension that runs share out; any number where a stream is never a part."""
    weights = [(value, value.weights.shared) for value in stream.values if value.weights is not None]
    return max((dim.size for value, shared in weights for dim in value.dims if dim.name == shared), default=1)
