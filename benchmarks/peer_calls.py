"""Calls: what each side is asked in a round of benchmarks/peers.py, and the figures that answers give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Figures = dict[str, float]
START, MEMORY = "start to first token", "peak memory"
START_PROMPT, MEMORY_PROMPT, MEMORY_COUNT, MEMORY_CONTEXT = 8, 512, 32, 1024  # tokens


@dataclass(frozen=True, slots=True)
class Call:
    """Prompts that are continued together.

    Attributes:
        sequences: how many. length: tokens of each prompt. count: tokens of each answer.
        figures: tokens per second by column, of an answer's seconds.
    """

    sequences: int
    length: int
    count: int
    figures: Callable[[Call, dict], Figures]


def _decoded(name: str) -> Callable[[Call, dict], Figures]:
    return lambda call, found: {name: (call.count - 1) / (found["all_s"] - found["first_s"])}


def _read(name: str) -> Callable[[Call, dict], Figures]:
    return lambda call, found: {name: call.length / found["first_s"]}


def _both(read: str, decoded: str) -> Callable[[Call, dict], Figures]:
    return lambda call, found: _read(read)(call, found) | _decoded(decoded)(call, found)


def _together(name: str) -> Callable[[Call, dict], Figures]:
    return lambda call, found: {name: call.sequences * call.count / found["all_s"]}


CALLS = (
    Call(1, 16, 64, _decoded("decode")),
    Call(1, 1024, 32, _decoded("decode at 1,024")),
    Call(1, 4096, 16, _both("prefill 4,096", "decode at 4,096")),
    Call(1, 512, 1, _read("prefill 512")),
    Call(8, 8, 16, _together("8 together")),
    Call(32, 8, 16, _together("32 together")),
    Call(64, 8, 16, _together("64 together")),
)
SHORT = (
    Call(1, 16, 24, _decoded("decode")),
    Call(1, 512, 1, _read("prefill 512")),
    Call(8, 8, 8, _together("8 together")),
)
BATCH = max(call.sequences for call in CALLS)
CONTEXT = max(call.length + call.count for call in CALLS) + 64
SPEEDS = ("decode", "decode at 1,024", "decode at 4,096", "prefill 512", "prefill 4,096", "8 together", "32 together",
          "64 together")  # fmt: skip
COLUMNS = (*SPEEDS, START, MEMORY)


def unit(column: str) -> str:
    """Of a column's figures."""
    return {START: "s", MEMORY: "MB"}.get(column, "tokens/s")


def least_is_best(column: str) -> bool:
    """Whether less is better."""
    return column in (START, MEMORY)
