"""How often a token's reads meet in banks: pairs of vectors of all that it runs, and why some can't be kept apart.

Knows addresses, and takes the rule of banks as it is. Nothing is charged for a meeting.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from undiced.program.wafer.banks import Banks
from undiced.program.wafer.memory import LASTING
from undiced.program.wafer.pairs import Pair, pairs
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.value import Value

Way = Literal[
    "apart",  # never in one bank
    "itself",  # both vectors are one, or lie in one value whose halves don't fit
    "unlike",  # they advance by other bytes: of other types, interleaved, or rows that are repeated or of odd length
    "placed",  # their values would have to begin elsewhere
]


def meetings(program: WaferProgram, banks: Banks) -> dict[Way, int]:
    """Pairs of vectors that a token reads together, by what becomes of them."""
    found: Counter[Way] = Counter({"apart": 0, "itself": 0, "unlike": 0, "placed": 0})
    runs = Counter((run.stream, run.base % banks.period) for region in program.regions for run in region.runs)
    for number, stream in enumerate(program.streams):
        bases = {base: times for (which, base), times in runs.items() if which == number}
        shares = Shares(values_of(program, stream), program.trees)
        for pair in pairs(stream, shares, banks) if bases else ():
            for base, times in bases.items():
                found[_way(pair, shares, base, banks)] += times
    return dict(found)


def _way(pair: Pair, shares: Shares, base: int, banks: Banks) -> Way:
    relation = banks.relation(pair.starts, pair.loops)
    if relation is None:
        return "unlike"
    a, b = (_half(shares.values[name], base, banks) for name in pair.values)
    if a ^ b == relation:
        return "apart"
    return "itself" if pair.values[0] == pair.values[1] else "placed"


def _half(value: Value, base: int, banks: Banks) -> int:
    address = value.address + (base if value.kind in LASTING else 0)
    return address // banks.half % 2
