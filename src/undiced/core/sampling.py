"""Sampling parameters: the one table of them. What a client may say, what the engine computes with, and its record.

`Parameters` holds a row per parameter; all else is made from it: the ranges of the HTTP API, `Sampling`, the parameters
of `LLM` and the fields of the engine's record. The record's twin in C++ is UNDICED_SAMPLING_RECORD in
native/engine/step.h; a test holds the two equal. To add a parameter, write a row here and one there, and what it does
in native/engine/slots.cpp or select.cpp.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

TOP_LOGPROBS_MAX = 20
SEED_BITS = 64
NO_TARGET = -1
NO_MASK = -1
NO_LOGPROBS = -1
_INT32_MAX = (1 << 31) - 1
T = TypeVar("T")


class Range(Struct, frozen=True):
    """A closed range of numbers; NaN is in none."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class Parameter(Struct, frozen=True):
    """A row of the table.

    Attributes:
        name: of the attribute, the request's field and the record's.
        default: what changes nothing.
        wire: what a client may say. engine: what the engine can compute with, which holds all of that.
        kind: numpy's name of its type in the record.
        doc: what it means.
    """

    name: str
    default: float
    wire: Range
    engine: Range
    kind: str
    doc: str


class RecordField(Struct, frozen=True):
    """A field of the engine's record: its name, numpy's name of its type, and the values that the engine accepts."""

    name: str
    kind: str
    range: Range


_rows: list[tuple[Range, Range, str, str]] = []  # of `Parameters`, in order


def _row(default: T, wire: tuple[float, float], engine: tuple[float, float], kind: str, doc: str) -> T:
    _rows.append((Range(*wire), Range(*engine), kind, doc))
    return default


def random_seed() -> int:
    """A fresh seed for a request that names none."""
    return int.from_bytes(os.urandom(SEED_BITS // 8))


class Parameters(Struct, frozen=True):
    """The numbers that bend a distribution before a token is drawn from it. The defaults change nothing.

    Sources of the wire's ranges: the OpenAI and Cerebras API references; repetition_penalty's is ours.
    """

    # fmt: off
    temperature: float = _row(1.0, (0, 2), (0, 1e6), "f4", "0 takes the likeliest token")
    top_p: float = _row(1.0, (0, 1), (0, 1), "f4", "the likeliest tokens that hold this share; 1 is off")
    top_k: int = _row(0, (-1, _INT32_MAX), (-1, _INT32_MAX), "i4", "this many of the likeliest tokens; 0, -1: off")
    min_p: float = _row(0.0, (0, 1), (0, 1), "f4", "tokens with this share of the likeliest one's; 0 is off")
    repetition_penalty: float = _row(
        1.0, (0.01, 100), (1e-3, 1e3), "f4", "divides or multiplies logits of tokens seen, the prompt's too; 1 is off")
    frequency_penalty: float = _row(
        0.0, (-2, 2), (-1e3, 1e3), "f4", "subtracted once for each time a token was generated; 0 is off")
    presence_penalty: float = _row(
        0.0, (-2, 2), (-1e3, 1e3), "f4", "subtracted once if a token was generated; 0 is off")
    # fmt: on


_OFF = Parameters()
PARAMETERS = tuple(
    Parameter(name, getattr(_OFF, name), *row) for name, row in zip(Parameters.__struct_fields__, _rows, strict=True)
)
WIRE_RANGES = {row.name: row.wire for row in PARAMETERS}  # what a client, or a person, may say
BIAS = Parameter("logit_bias", 0.0, Range(-100, 100), Range(-1e6, 1e6), "f4", "added to a token's logit")

# A row per sampled row of a step, laid out as C lays out a struct.
RECORD: tuple[RecordField, ...] = (
    RecordField("slot", "i4", Range(0, _INT32_MAX)),  # per-sequence state: tokens seen, logit bias, end tokens
    # NO_TARGET = draw a token; else the token that follows: its log-probability is told and nothing is drawn or counted
    RecordField("target", "i4", Range(NO_TARGET, _INT32_MAX)),
    RecordField("top_logprobs", "i4", Range(NO_LOGPROBS, TOP_LOGPROBS_MAX)),  # 0 = of the token alone
    RecordField("min_tokens_mask", "i4", Range(0, 1)),  # 1 = end-of-sequence tokens are forbidden at this step
    RecordField("mask", "i4", Range(NO_MASK, _INT32_MAX)),  # row of the step's masks: the tokens that may be drawn
    *(RecordField(row.name, row.kind, row.engine) for row in PARAMETERS),
    # Equal pairs of seed and counter, the index of the token in its sequence, draw equally whatever the batch.
    RecordField("seed", "u8", Range(0, (1 << SEED_BITS) - 1)),
    RecordField("counter", "u8", Range(0, (1 << SEED_BITS) - 1)),
)


class Sampling(Parameters, frozen=True):
    """How the tokens of a sequence are drawn. The defaults sample from the model's own distribution.

    Attributes:
        seed: unsigned, 64 bits; equal seeds give equal tokens whatever else runs.
        logit_bias: pairs (token id, added logit).
        allowed: the only tokens that may be drawn; empty: all.
        logprobs: -1 none, 0 the sampled token's alone, n its n most likely rivals too.
        min_tokens: tokens before a stop token may be drawn.
    """

    seed: int = field(default_factory=random_seed)
    logit_bias: tuple[tuple[int, float], ...] = ()
    allowed: tuple[int, ...] = ()
    logprobs: int = NO_LOGPROBS
    min_tokens: int = 0

    @property
    def penalizes(self) -> bool:
        """Whether it matters which tokens an answer has already."""
        return self.repetition_penalty != 1.0 or self.frequency_penalty != 0.0 or self.presence_penalty != 0.0

    def bent(self, value_of: Callable[[str], float]) -> Sampling:
        """The same with the parameters that `value_of` gives by name."""
        return replace(self, **{row.name: value_of(row.name) for row in PARAMETERS})


GREEDY = Sampling(temperature=0.0, seed=0)
