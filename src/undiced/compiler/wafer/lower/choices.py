"""What a lowering may choose, each by itself: number formats, and which work is done at the roots of trees. Data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undiced.program.wafer.value import DType

Wire = Literal["f32", "f16"]
Softmax = Literal["max", "clamped"]


@dataclass(frozen=True, slots=True)
class Choices:
    """How streams are written.

    Attributes:
        weights, sums, caches: element types of matrices, of local sums of products, of cached keys and values.
        wire: of partial sums that travel; exponentials, what they weigh, sums of squares and logits take 32 bits.
        softmax: "max" takes the largest score off first; "clamped" takes none: exact unless a score leaves +-80.
        row_slices, band_slices: trees that share the payload of a column of cores, and of a band.
        candidates: tokens with the largest logits that the head finds and draws from.
        once: an embedding that is the head's matrix, too, is looked up in that.
        sub_bands: so many of a band come before lanes, as far as there are query heads for them.
        head_by_head: query heads of a sub-band are scored one after the other, so that only one has scores at a time.
        whole_bands: a band has all columns that there are for it, however thin its shares.
    """

    weights: DType = DType.F16
    sums: DType = DType.F32
    caches: DType = DType.F16
    wire: Wire = "f32"
    softmax: Softmax = "max"
    row_slices: int = 1
    band_slices: int = 1
    candidates: int = 1
    once: bool = False
    sub_bands: int = 1
    head_by_head: bool = False
    whole_bands: bool = False

    @property
    def ranged(self) -> bool:
        """Whether products that wait for their norm need a power of two to stay in range."""
        return self.wire == "f16" or self.sums is DType.F16


EXACT = Choices()
LEAN = Choices(sums=DType.F16, wire="f16", softmax="clamped", row_slices=3, band_slices=4)
