"""Memory of a core, as a map: where code, states, activations, weights, tables and caches lie. Knows no time.

From address 0: code and system; then states and activations, by linear scan over each stream (what is dead makes room);
then what stays, run by run: weights, tables, and caches of every sequence. All cores of a region share one map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from undiced.program.wafer.lifetimes import lifetimes
from undiced.program.wafer.memory import LASTING, aligned, share_bytes
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Kind, Value


def shares_of(stream: Stream, trees: tuple[Tree, ...]) -> Shares:
    """Sizes of a stream's values, caches as large as they are declared."""
    return Shares({value.name: value for value in stream.values}, trees)


@dataclass(frozen=True, slots=True)
class Lasting:
    """What a run keeps in memory: bytes that are there once, and bytes for each sequence."""

    fixed: int
    sequence: int

    def beside(self, code: int) -> Lasting:
        """The same with code that no other stream has."""
        return Lasting(self.fixed + aligned(code), self.sequence)

    def bytes(self, sequences: int) -> int:
        """For so many sequences."""
        return self.fixed + sequences * self.sequence


def lasting(stream: Stream, trees: tuple[Tree, ...]) -> Lasting:
    """Weights and tables, and caches, of one run."""
    shares = shares_of(stream, trees)
    fixed = sequence = 0
    for value in stream.values:
        if value.view is None and value.kind in LASTING and not value.again:
            size = share_bytes(shares, value.name)
            if value.kind is Kind.CACHE:
                sequence += size
            else:
                fixed += size
    return Lasting(fixed, sequence)


def state_values(streams: Iterable[Stream]) -> tuple[Value, ...]:
    """States of all streams, each once."""
    every = (value for stream in streams for value in stream.values)
    found = {value.name: value for value in every if value.kind is Kind.STATE and value.view is None}
    return tuple(found.values())


def place_states(
    states: tuple[Value, ...], trees: tuple[Tree, ...], base: int, tokens: int
) -> tuple[dict[str, int], int]:
    """Addresses of states from `base` on, and the first free one behind them."""
    at: dict[str, int] = {}
    base = aligned(base)
    shares = Shares({value.name: value for value in states}, trees)
    for value in states:
        at[value.name] = base
        base += tokens * share_bytes(shares, value.name)
    return at, base


def scan(stream: Stream, trees: tuple[Tree, ...], base: int, tokens: int) -> tuple[dict[str, int], int]:
    """Addresses of a stream's activations from `base` on, and the end of the fullest moment.

    In the order in which they are first used, each takes the lowest gap between those alive at the same time.
    """
    shares = shares_of(stream, trees)
    lives = lifetimes(stream, shares.stored)
    values = [v for v in stream.values if v.view is None and v.kind is Kind.ACTIVATION and v.name in lives]
    placed: list[tuple[int, int, int, int]] = []  # first, last, address, end
    at: dict[str, int] = {}
    top = base
    for value in sorted(values, key=lambda v: lives[v.name]):
        first, last = lives[value.name]
        size = tokens * share_bytes(shares, value.name)
        address = base
        alive = sorted((start, end) for begin, done, start, end in placed if begin <= last and first <= done)
        for start, end in alive:
            if address + size <= start:
                break
            address = max(address, end)
        placed.append((first, last, address, address + size))
        at[value.name] = address
        top = max(top, address + size)
    return at, top


def addressed(
    stream: Stream, trees: tuple[Tree, ...], states: dict[str, int], base: int, tokens: int, sequences: int
) -> Stream:
    """The stream with every value's address; what lasts is counted from its run's base."""
    at, _ = scan(stream, trees, base, tokens)
    at |= states
    shares, offset = shares_of(stream, trees), 0
    for value in stream.values:
        if value.view is None and value.kind in LASTING and not value.again:
            at[value.name] = offset
            offset += share_bytes(shares, value.name) * (sequences if value.kind is Kind.CACHE else 1)
    values = tuple(replace(value, address=at.get(value.name, -1)) for value in stream.values)
    return replace(stream, values=values)


def kept_by(keeper: Stream, stream: Stream) -> Stream:
    """The stream with the weights that it only reads again where `keeper` has them."""
    at = {value.weights.role: value.address for value in keeper.values if value.weights is not None}
    values = tuple(
        replace(value, address=at[value.weights.role]) if value.again and value.weights is not None else value
        for value in stream.values
    )
    return replace(stream, values=values)
