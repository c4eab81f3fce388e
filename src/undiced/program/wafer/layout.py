"""Layouts: how a value of a stream lies over the cores of its region. Knows no instruction and no machine.

A region is a grid of logical rows by columns. On each of the two axes a value is spread by parts, the outermost first:
shared out (`Shard`), repeated (`Replicate`), a term of a sum or maximum that is not taken yet (`Partial`), held where
trees end (`Roots`), by whoever owns a token or a position (`Owner`), or by whoever has an expert (`Keeper`). No parts
at all mean repeated. Where a size is no multiple of the cores that share it, the last shares are padding; cores beyond
the parts hold nothing.
"""

from __future__ import annotations

from enum import IntEnum
from math import ceil, prod
from typing import Literal

from msgspec import Struct


class Axis(IntEnum):
    """The two axes of a region. ROWS counts its rows, so a line along ROWS is a column of cores."""

    ROWS = 0
    COLUMNS = 1


class Dim(Struct, frozen=True, gc=False):
    """A named dimension of a value; `position` counts the filled KV positions and stays symbolic."""

    name: str
    size: int


POSITION = "position"
PROMPT = "prompt"  # tokens of a prompt that cores share
FLAT = "flat"  # elements side by side of which each core has its own; views say what they are


class Shard(Struct, frozen=True, gc=False, tag="shard"):
    """`ways` cores share a dimension, in contiguous blocks or (cyclic) one element each in turn."""

    dim: str
    ways: int
    order: Literal["block", "cyclic"] = "block"


class Replicate(Struct, frozen=True, gc=False, tag="replicate"):
    """`ways` groups hold the same."""

    ways: int


class Partial(Struct, frozen=True, gc=False, tag="partial"):
    """`ways` cores hold terms: the value is their sum or maximum."""

    op: Literal["sum", "max"]
    ways: int


class Roots(Struct, frozen=True, gc=False, tag="roots"):
    """Of each line of `ways` cores the roots of a tree hold a slice of the flat value each; the others nothing.

    Slices are of whole granules; `riders`, the value's last elements, are at every root, behind the slice. With `whole`
    every root holds all of it.
    """

    ways: int
    tree: int
    granule: int = 1
    riders: int = 0
    whole: bool = False


class Owner(Struct, frozen=True, gc=False, tag="owner"):
    """Of `ways` cores the one that owns the token (or position) of `index` holds the value; the others nothing."""

    index: Literal["token", "position"]
    ways: int


class Keeper(Struct, frozen=True, gc=False, tag="keeper"):
    """Of `ways` groups of cores the one that has a choice's expert holds what the value has of that choice; the others
    nothing.

    Choices are the dimensions of `ids`, which name the experts. Group g has the experts from g * `share` on, `share` of
    them.
    """

    ids: str
    ways: int
    share: int


Part = Shard | Replicate | Partial | Roots | Owner | Keeper
Spread = tuple[Part, ...]


def ways(spread: Spread) -> int:
    """Cores of the axis that the parts take."""
    return prod(part.ways for part in spread)


def terms(spread: Spread) -> tuple[str, int] | None:
    """Operator and ways of the part whose terms are still to be joined, if any."""
    return next(((part.op, part.ways) for part in spread if isinstance(part, Partial)), None)


def stride(spread: Spread, index: int) -> int:
    """Cores from one element of part `index` to the next: the product of the ways of all inner parts."""
    return prod(part.ways for part in spread[index + 1 :])


def indices(spread: Spread, index: int, size: int, cores: int) -> list[list[int]]:
    """Which elements of a dimension of `size` each of `cores` cores holds by shard `index`; -1 is padding."""
    part = spread[index]
    assert isinstance(part, Shard)
    share, step, taken = ceil(size / part.ways), stride(spread, index), ways(spread)
    out = []
    for core in range(cores):
        who = core // step % part.ways
        held = (
            range(who * share, (who + 1) * share)
            if part.order == "block"
            else range(who, who + share * part.ways, part.ways)
        )
        out.append([i if i < size and core < taken else -1 for i in held])
    return out
