"""What breaks a rule, and what would help. Data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BUG = "Compile it again with `undiced compile`; if that doesn't help, report it."


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks a rule.

    Attributes:
        what: a sentence without its period that names the operand or field.
        remedy: what would help.
    """

    what: str
    remedy: str = BUG


Faults = Iterator[Fault]
