"""How a core takes narrow weights out of 16-bit words: sequences of vector operations, as data.

Vector operations know elements of 16 and 32 bits alone, so that a word holds weights of neighboring rows: two of 8
bits, four of 4. Executor and cost walk the same steps. Of `f8` every other row is multiplied as it lies: the word is a
16-bit float whose last 7 bits, which belong to the row below, are known when it is rounded, and cost no precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from undiced.program.wafer.value import DType
from undiced.program.wafer.work import Arithmetic


@dataclass(frozen=True, slots=True)
class Step:
    """One vector operation on words, in place: `kind` with a constant.

    Attributes:
        kind: "shift" right with the sign; "and", "or" of bits; "float", of a signed 16-bit integer; "add", to a 16-bit
            float.
    """

    kind: Literal["shift", "and", "or", "float", "add"]
    by: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """The bits of a word that are a row's: the lowest of them, how many, and the steps that make 16-bit floats."""

    low: int
    bits: int
    steps: tuple[Step, ...]


_FLOAT = Step("float")
_IN_PLACE = 7  # bits of an f8 word that its second row has
_ONES = 0xDF80  # all other bits of an f8 word, where they are not the same in every word
_CENTER = 496  # what its second row then is too small by
FIELDS: Mapping[DType, tuple[Field, ...]] = MappingProxyType(
    {
        DType.I8: (
            Field(8, 8, (Step("shift", 8), _FLOAT)),
            Field(0, 8, (Step("and", 0xFF), _FLOAT, Step("add", -128))),
        ),
        DType.F8: (
            Field(_IN_PLACE, 9, ()),
            Field(0, _IN_PLACE, (Step("or", _ONES), Step("add", _CENTER))),
        ),
        DType.I4: (
            Field(12, 4, (Step("shift", 12), _FLOAT)),
            Field(8, 4, (Step("shift", 8), Step("and", 15), _FLOAT, Step("add", -8))),
            Field(4, 4, (Step("shift", 4), Step("and", 15), _FLOAT, Step("add", -8))),
            Field(0, 4, (Step("and", 15), _FLOAT, Step("add", -8))),
        ),
    }
)
ARITHMETIC: Mapping[str, Arithmetic] = MappingProxyType(
    {"shift": "shift", "and": "integer", "or": "integer", "float": "unpack", "add": "add"}
)


def longest(dtype: DType) -> tuple[Step, ...]:
    """The steps of the row of a word that takes most."""
    return max((field.steps for field in FIELDS[dtype]), key=len)
