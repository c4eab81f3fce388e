"""What a field of a host instruction may be: kinds of operands and numbers, and the enumerations. Knows no instruction.

A field's type says its kind: `Annotated[int, Kind]` for operands and other integers, `float`, `Annotated[float, Kind]`,
`bool`, or one of the enumerations. Encoding, text, verification and the C++ mirror all follow from it.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Annotated

NONE = -1  # an operand that is absent


class Kind(Enum):
    """What a number names, counts or must be."""

    FLOATS = "a buffer of floats"
    CODES = "a buffer of int8 blocks"
    FACTOR = "a buffer of floats, or of int8 blocks if the weight that it is multiplied with is quantized"
    MATRIX = "a weight slot of several rows"
    VECTOR = "a weight slot of one row, or NONE"
    CONSTANT = "one of the program's constants"
    KV_LAYER = "one of the program's KV layers"
    COUNT = "at least 1"
    OFFSET = "at least 0"
    NOT_NEGATIVE = "0 or positive"
    POSITIVE = "positive"


Floats = Annotated[int, Kind.FLOATS]
Codes = Annotated[int, Kind.CODES]
Factor = Annotated[int, Kind.FACTOR]
Matrix = Annotated[int, Kind.MATRIX]
Vector = Annotated[int, Kind.VECTOR]
Constant = Annotated[int, Kind.CONSTANT]
KvIndex = Annotated[int, Kind.KV_LAYER]
Count = Annotated[int, Kind.COUNT]
Offset = Annotated[int, Kind.OFFSET]
NotNegative = Annotated[float, Kind.NOT_NEGATIVE]
Positive = Annotated[float, Kind.POSITIVE]
BUFFERS = (Kind.FLOATS, Kind.CODES, Kind.FACTOR)


class Partition(IntEnum):
    """How an instruction's work is split over the cores of the team."""

    ALL = 0  # every core does all of it (or none: barriers)
    TOKENS = 1  # token rows in equal contiguous shares; in a small step see instruction.py
    COLUMNS = 2  # columns in shares that are multiples of SHARD_GRANULE, the same shares as a Matmul's rows
    HEADS = 3  # (sequence, kv head) items
    SAMPLES = 4  # sampled rows, as TOKENS


class Activation(IntEnum):
    """Pointwise functions of Glu and Activate."""

    SILU = 0
    GELU = 1  # exact, by erf
    GELU_TANH = 2
    RELU = 3
    SWIGLU_OSS = 4  # of expert GLUs alone: both clamped, gate * sigmoid(1.702 gate) * (up + 1)


class Scoring(IntEnum):
    """What becomes of a router's logits before experts are chosen."""

    SOFTMAX = 0
    SIGMOID = 1


class RopeStyle(IntEnum):
    """Which columns of a head are rotated together."""

    HALF = 0  # column i of the first half with column i of the second
    INTERLEAVED = 1  # neighbors
