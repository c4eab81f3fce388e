"""Instr: what every instruction of a host program has. Its kinds are in instruction.py and expert_instruction.py."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from msgspec import Struct

from undiced.program.host.field import NONE, Partition

SMALL_STEP_TOKENS = 2
SHARD_GRANULE = 32  # rows of a Matmul, columns of a COLUMNS instruction: one activation block, two row tiles


class Span(NamedTuple):
    """Columns [start, start + columns) of a buffer."""

    buffer: int
    start: int
    columns: int


class Shape(NamedTuple):
    """A weight slot must be rows x columns; 0 rows: any number of them."""

    slot: int
    rows: int
    columns: int


class Instr(Struct, frozen=True, kw_only=True, tag_field="op", omit_defaults=True):
    """What all instructions have.

    Attributes:
        split: how the work is split over cores, unless `partition` says otherwise.
        row_kind: which rows its buffers hold: those of tokens, of samples, all the same ("alike"), or samples' in
            what is written and tokens' in what is read ("gathered").
        layer: of the graph, for reports; not encoded.
        note: the graph value that it makes, for dumps and reports; not encoded.
    """

    split: ClassVar[Partition] = Partition.TOKENS
    row_kind: ClassVar[Literal["tokens", "samples", "alike", "gathered"]] = "alike"

    layer: int = NONE
    note: str = ""

    @property
    def partition(self) -> Partition:
        """How its work is split."""
        return self.split

    @property
    def adds(self) -> bool:
        """Whether it adds to what it writes."""
        return False

    def reads(self) -> tuple[Span, ...]:
        """What it reads of its buffers, besides what it adds to."""
        return ()

    def writes(self) -> tuple[Span, ...]:
        """What it writes."""
        return ()

    def shapes(self) -> tuple[Shape, ...]:
        """What its weights must be; absent ones are left out by whoever asks."""
        return ()

    def fault(self) -> str:
        """The rule that its own numbers break, or an empty text."""
        return ""
