"""Values of random programs lie where vectors that are read together don't meet, wherever there is such a place."""

from itertools import combinations, product

import numpy as np
import pytest
from msgspec.structs import replace
from support.streams import value

from undiced.compiler.wafer.addresses import Map
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.banks import Banks
from undiced.program.wafer.lifetimes import lifetimes
from undiced.program.wafer.memory import LASTING, share_bytes
from undiced.program.wafer.pairs import pairs
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import FULL
from undiced.program.wafer.value import DType, Kind, Value, View

SEEDS = [pytest.param(range(300)), pytest.param(range(300, 20_000), marks=pytest.mark.slow)]
KINDS = [Kind.ACTIVATION] * 4 + [Kind.STATE, Kind.WEIGHT, Kind.CACHE]
Address = dict[str, int]


def drawn(draw: np.random.Generator, number: int) -> Stream:
    """Sums and products in place of values of all kinds, some of them inside others."""
    length, values = int(draw.integers(2, 12)), []
    for n in range(int(draw.integers(2, 5))):
        kind = KINDS[draw.integers(len(KINDS))]
        dtype = (DType.F16, DType.F32)[draw.integers(2)]
        of = int(draw.integers(1, 3))
        name = f"state{n}{dtype.value}{of}" if kind is Kind.STATE else f"{number}.{n}"
        values.append(value(name, ("flat", of * 12 + 2), dtype=dtype, kind=kind))
        views = [View(name, int(draw.integers(0, 3)), of, pick) for pick in range(of)]
        values += [value(f"{name}.{view.pick}", ("flat", length), dtype=dtype, view=view) for view in views]
    seen = [v.name for v in values if v.view is not None]
    steps = [tuple(draw.choice(seen, 2)) for _ in range(int(draw.integers(1, 6)))]
    return Stream(f"s{number}", tuple(values), tuple(isa.Combine("n", "add", a, a, b) for a, b in steps))


def alike(streams: list[Stream]) -> tuple[Stream, ...]:
    """With a state the same wherever it is named."""
    return tuple(replace(s, values=tuple({v.name: v for v in s.values}.values())) for s in streams)


def placed(streams: tuple[Stream, ...], rule: Banks) -> list[tuple[str, str, int]]:
    """The pairs that can be kept apart: which values (of which stream), and how."""
    found = []
    for n, stream in enumerate(streams):
        values = {v.name: v for v in stream.values}
        for pair in pairs(stream, Shares(values, (), FULL), rule):
            relation = rule.relation(pair.starts, pair.loops)
            if relation is not None:
                found.append((*(key(n, values[name]) for name in pair.values), relation))
    return found


def key(stream: int, held: Value) -> str:
    return "first" if held.kind in LASTING else held.name if held.kind is Kind.STATE else f"{stream}:{held.name}"


def possible(wanted: list[tuple[str, str, int]]) -> bool:
    """Whether any choice of halves keeps all pairs apart."""
    names = sorted({name for a, b, _ in wanted for name in (a, b)} | {"first"})
    return any(
        all(halves[names.index(a)] ^ halves[names.index(b)] == relation for a, b, relation in wanted)
        for halves in product((0, 1), repeat=len(names))
    )


@pytest.mark.parametrize("seeds", SEEDS)
def test_vectors_are_apart_wherever_they_can_be(seeds: range) -> None:
    seen = {True: 0, False: 0}
    for seed in seeds:
        draw = np.random.default_rng(seed)
        rule = Banks((4, 8)[draw.integers(2)], 512)
        streams = alike([drawn(draw, n) for n in range(int(draw.integers(1, 3)))])
        made = Map((), rule, int(draw.integers(1, 4)), 2).addressed(streams, int(draw.integers(0, 99)))
        halves = {key(n, v): v.address // rule.half % 2 for n, s in enumerate(made) for v in s.values if v.view is None}
        wanted = placed(streams, rule)
        seen[possible(wanted)] += 1
        if possible(wanted):
            assert all(halves[a] ^ halves[b] == relation for a, b, relation in wanted), seed
    assert min(seen.values()) > 20


@pytest.mark.parametrize("seeds", SEEDS)
def test_no_two_values_that_are_needed_share_memory(seeds: range) -> None:
    for seed in seeds:
        draw = np.random.default_rng(seed)
        streams, tokens = alike([drawn(draw, 0)]), int(draw.integers(1, 4))
        [made] = Map((), Banks(4, 512), tokens, 2).addressed(streams, 40)
        shares = Shares({v.name: v for v in made.values}, (), FULL)
        lives, copies = lifetimes(made, shares.stored), {Kind.CACHE: 2, Kind.WEIGHT: 1}
        held = [v for v in made.values if v.view is None and v.address >= 0]
        for a, b in combinations(held, 2):
            if (a.kind in LASTING) == (b.kind in LASTING) and meet(lives, a, b):
                first, second = sorted((a, b), key=lambda v: v.address)
                end = first.address + share_bytes(shares, first.name) * copies.get(first.kind, tokens)
                assert end <= second.address, seed


def meet(lives: dict[str, tuple[int, int]], a: Value, b: Value) -> bool:
    """Whether both are needed at once; what is no activation always is."""
    spans = [lives.get(v.name, (0, -1)) if v.kind is Kind.ACTIVATION else (0, 1 << 20) for v in (a, b)]
    return spans[0][0] <= spans[1][1] and spans[1][0] <= spans[0][1]
