"""Which values an instruction reads and which it writes, by the names of its fields. Knows no meaning of either."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter

from undiced.program.wafer.instruction import Instruction

READ = frozenset({"x", "weights", "a", "b", "cosine", "sine", "table", "ids", "expert", "carried", "ahead"})
WRITTEN = frozenset({"result", "results", "cache", "scratch"})
_ADDED = WRITTEN - {"scratch"}
_SEVERAL = {"weights", "results"}  # operands that are several values


def reads(instruction: Instruction) -> tuple[str, ...]:
    """Names of the values that it needs; results too where it adds to them."""
    added = _named(type(instruction), _ADDED)(instruction) if getattr(instruction, "accumulate", False) else ()
    return _named(type(instruction), READ)(instruction) + added


def writes(instruction: Instruction) -> tuple[str, ...]:
    """Names of the values that it makes or changes."""
    return _named(type(instruction), WRITTEN)(instruction)


@lru_cache(maxsize=128)
def _named(kind: type[Instruction], fields: frozenset[str]) -> Callable[[Instruction], tuple[str, ...]]:
    """What takes the names out of an instruction of a kind."""
    names = tuple(name for name in kind.__struct_fields__ if name in fields)
    if len(names) < 2 or _SEVERAL & set(names):
        return lambda i: _each(i, names)
    every = attrgetter(*names)
    return lambda i: found if "" not in (found := every(i)) else tuple(name for name in found if name)


def _each(instruction: Instruction, fields: tuple[str, ...]) -> tuple[str, ...]:
    out: list[str] = []
    for field in fields:
        value = getattr(instruction, field)
        if isinstance(value, tuple):
            out += value
        elif value:
            out.append(value)
    return tuple(out)
