"""The weight manifest: which file tensors make up each weight slot of a program, and how.

Model families write it, the compiler passes it on, engines obey it and know no tensor name. Data only.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

TransformKind = Literal["transpose", "split", "every", "permute_rope", "add_one"]


class Transform(Struct, frozen=True):
    """One step of a closed list, applied to a tensor of shape (rows, columns) or (n,), outermost dimension first.

    transpose                     (r, c) -> (c, r); dense formats only
    split          a=start b=count   rows [start, start + count)
    every          a=start b=step    rows start, start + step, ...
    permute_rope   a=heads b=dims    reorders each head's first `dims` rows from (2, dims/2) halves to interleaved pairs
    add_one                       adds 1 to every value (norms that store w - 1); vectors only
    """

    kind: TransformKind
    a: int = 0
    b: int = 0


class Source(Struct, frozen=True):
    """A tensor of the checkpoint and the steps that turn it into (a part of) a slot; no steps means as it is."""

    tensor: str
    transforms: tuple[Transform, ...] = ()


class WeightSlot(Struct, frozen=True):
    """One weight of a program: a matrix (rows = outputs, columns = inputs) or a vector (rows = 1).

    Attributes:
        name: the graph's name of it, e.g. `layers.3.attn.q`.
        rows, columns: shape after the transforms; a vector is 1 x n; stacked experts count as rows = experts x outputs.
        format: a key of `core.formats.FORMATS`; vectors are always "F32".
        sources: stacked along rows, in order. Empty for a graph built from a configuration without a checkpoint.
        experts: how many equal matrices are stacked along the rows (1 unless mixture of experts).
    """

    name: str
    rows: int
    columns: int
    format: str
    sources: tuple[Source, ...] = ()
    experts: int = 1
