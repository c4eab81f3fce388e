"""Memory of a core, as a map: where code, states, activations, weights, tables and caches lie. Knows no time.

From address 0: code and system (and, for chunks, registers of functions); then states and activations, by linear scan
over each stream (what is dead makes room); then what stays, run by run: weights, tables, and caches of every sequence.
All cores of a region share one map. Where a value begins within its room is chosen last, by the rule of banks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from undiced.compiler.wafer.halves import halves
from undiced.program.wafer.banks import Banks
from undiced.program.wafer.lifetimes import lifetimes
from undiced.program.wafer.memory import LASTING, aligned, begun, block_bytes, share_bytes, tokens
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Kind, Value


def shares_of(stream: Stream, trees: tuple[Tree, ...]) -> Shares:
    """Sizes of a stream's values, caches as large as they are declared."""
    return Shares({value.name: value for value in stream.values}, trees)


@dataclass(frozen=True, slots=True)
class Lasting:
    """What a run keeps in memory, in whole periods of banks: bytes that are there once, and bytes for each sequence."""

    fixed: int
    sequence: int

    def bytes(self, sequences: int) -> int:
        """For so many sequences."""
        return self.fixed + sequences * self.sequence


def state_values(streams: Iterable[Stream]) -> tuple[Value, ...]:
    """States of all streams, each once."""
    every = (value for stream in streams for value in stream.values)
    found = {value.name: value for value in every if value.kind is Kind.STATE and value.view is None}
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Map:
    """What maps of memory follow, but for streams.

    Attributes:
        lanes: copies of states and activations. sequences: of caches. chunk: tokens of a prompt side by side.
    """

    trees: tuple[Tree, ...]
    banks: Banks
    lanes: int
    sequences: int
    chunk: int = 1

    def lasting(self, stream: Stream, code: int = 0) -> Lasting:
        """Weights and tables, and caches, of one run; and code that no other stream has."""
        shares = shares_of(stream, self.trees)
        fixed = sequence = 0
        for value in _lasting(stream):
            size = aligned(share_bytes(shares, value.name), self.banks.period)
            if value.kind is Kind.CACHE:
                sequence += size
            else:
                fixed += size
        return Lasting(fixed + aligned(code, self.banks.period), sequence)

    def states(self, states: tuple[Value, ...], base: int) -> tuple[dict[str, int], int]:
        """Where the room of states begins, from `base` on, and the first free address behind them."""
        at: dict[str, int] = {}
        base = aligned(base, self.banks.half)
        shares = Shares({value.name: value for value in states}, self.trees)
        for value in states:
            at[value.name] = base
            copies, tokens_of = (1, 1) if value.once else (self.lanes, self.chunk)
            base += block_bytes(shares, value.name, copies, self.banks, tokens_of)
        return at, base

    def scan(self, stream: Stream, base: int) -> tuple[dict[str, int], int]:
        """Where the room of a stream's activations begins, from `base` on, and the end of the fullest moment.

        In the order in which they are first used, each takes the lowest gap between those alive at the same time; of a
        chunk, whose values are large, also with the largest first, if that ends lower.
        """
        own = [value for value in stream.values if value.view is None and value.kind is Kind.ACTIVATION]
        if not own:
            return {}, aligned(base, self.banks.period)
        shares = shares_of(stream, self.trees)
        lives = lifetimes(stream, shares.stored)
        sizes = {value.name: self._room(stream, shares, value) for value in own if value.name in lives}
        in_turn = sorted(sizes, key=lambda name: lives[name])
        found = _packed(in_turn, sizes, lives, base)
        if self.chunk > 1:
            by_size = sorted(in_turn, key=lambda name: -sizes[name])
            found = min(found, _packed(by_size, sizes, lives, base), key=lambda each: each[1])
        return found[0], aligned(found[1], self.banks.period)

    def _room(self, stream: Stream, shares: Shares, value: Value) -> int:
        copies = 1 if value.once else self.lanes
        return block_bytes(shares, value.name, copies, self.banks, tokens(self.chunk, stream, value))

    def addressed(self, streams: tuple[Stream, ...], code: int) -> tuple[Stream, ...]:
        """The streams with every value's address; what lasts is counted from its run's base."""
        at, base = self.states(state_values(streams), code)
        chosen = halves(streams, self.trees, self.banks)
        return tuple(self._addressed(stream, at, base, half) for stream, half in zip(streams, chosen, strict=True))

    def _addressed(self, stream: Stream, states: dict[str, int], base: int, half: dict[str, int]) -> Stream:
        rooms, _ = self.scan(stream, base)
        at = {name: begun(room, half.get(name, 0), self.banks) for name, room in (states | rooms).items()}
        shares, offset = shares_of(stream, self.trees), 0
        for value in _lasting(stream):
            at[value.name] = offset
            copies = self.sequences if value.kind is Kind.CACHE else 1
            offset += aligned(share_bytes(shares, value.name), self.banks.period) * copies
        values = tuple(replace(value, address=at.get(value.name, -1)) for value in stream.values)
        return replace(stream, values=values)


def _packed(
    order: Iterable[str], sizes: Mapping[str, int], lives: Mapping[str, tuple[int, int]], base: int
) -> tuple[dict[str, int], int]:
    """Addresses from `base` on, each the lowest that is free as long as it is needed; and where the last one ends."""
    placed: list[tuple[int, int, int, int]] = []  # first, last, address, end
    at: dict[str, int] = {}
    for name in order:
        first, last = lives[name]
        address = base
        alive = sorted((start, end) for begin, done, start, end in placed if begin <= last and first <= done)
        for start, end in alive:
            if address + sizes[name] <= start:
                break
            address = max(address, end)
        placed.append((first, last, address, address + sizes[name]))
        at[name] = address
    return at, max([base, *(end for *_, end in placed)])


def _lasting(stream: Stream) -> list[Value]:
    return [value for value in stream.values if value.view is None and value.kind in LASTING and not value.again]


def followed_by(following: Stream, stream: Stream, behind: int) -> Stream:
    """The stream with weights of the run that follows on the same cores, so many bytes behind its own base."""
    at = {value.weights.role: value.address for value in following.values if value.weights is not None}
    values = tuple(
        replace(value, address=behind + at[value.weights.role])
        if value.again and value.weights is not None and value.address < 0
        else value
        for value in stream.values
    )
    return replace(stream, values=values)


def kept_by(keeper: Stream, stream: Stream) -> Stream:
    """The stream with the weights that it only reads again where `keeper` has them."""
    at = {value.weights.role: value.address for value in keeper.values if value.weights is not None}
    values = tuple(
        replace(value, address=at[value.weights.role]) if value.again and value.weights is not None else value
        for value in stream.values
    )
    return replace(stream, values=values)
