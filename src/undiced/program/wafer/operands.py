"""Which values an instruction reads and which it writes, by the names of its fields. Knows no meaning of either."""

from __future__ import annotations

from functools import lru_cache

from undiced.program.wafer.instruction import Instruction

READ = frozenset({"x", "weights", "a", "b", "cosine", "sine", "table", "ids", "expert", "carried", "ahead"})
WRITTEN = frozenset({"result", "results", "cache", "scratch"})


def reads(instruction: Instruction) -> tuple[str, ...]:
    """Names of the values that it needs; results too where it adds to them."""
    added = _named(instruction, WRITTEN - {"scratch"}) if getattr(instruction, "accumulate", False) else ()
    return _named(instruction, READ) + added


def writes(instruction: Instruction) -> tuple[str, ...]:
    """Names of the values that it makes or changes."""
    return _named(instruction, WRITTEN)


def _named(instruction: Instruction, fields: frozenset[str]) -> tuple[str, ...]:
    out: list[str] = []
    for name in _present(type(instruction), fields):
        value = getattr(instruction, name)
        if value.__class__ is tuple:
            out += value
        elif value:
            out.append(value)
    return tuple(out)


@lru_cache(maxsize=128)
def _present(kind: type[Instruction], fields: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name in fields)
