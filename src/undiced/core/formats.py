"""How weights are stored, in files and resident. Data only: no tensor is touched here.

A quantized weight is `scale * (code - zero) + minimum`, with one scale (and minimum) a group of `group` columns. Where
a format has a `lookup`, the stored nibble says which of its 16 codes is meant.
Source: block layouts of the GGUF specification, checked bit by bit against the `gguf` package in tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Layout(IntEnum):
    """Resident layouts. The first two are quantized, the others dense. Values are shared with the native code."""

    NIBBLES = 0  # two unsigned 4-bit codes a byte
    BYTES = 1  # one unsigned 8-bit code a byte
    BF16 = 2
    F16 = 3
    F32 = 4


@dataclass(frozen=True, slots=True)
class Format:
    """One number format of a checkpoint.

    Attributes:
        name: GGUF's name of it.
        ggml_type: GGUF's type number.
        block: elements a block in the file.
        block_bytes: bytes a block in the file.
        layout: the resident layout that keeps every bit of its information.
        group: columns that share a scale when resident (0 for dense formats).
        zero: the code that means zero before the minimum is added.
        code_max: largest code.
        has_min: whether a minimum is stored next to each scale.
        scale_bytes: 2 (f16) or 4 (f32, where a scale is a product or a power of two) a scale or minimum, resident.
        lookup: the 16 codes that nibbles stand for; empty where the stored code is the code.
    """

    name: str
    ggml_type: int
    block: int
    block_bytes: int
    layout: Layout
    group: int = 0
    zero: int = 0
    code_max: int = 0
    has_min: bool = False
    scale_bytes: int = 0
    lookup: tuple[int, ...] = ()

    @property
    def quantized(self) -> bool:
        return self.group > 0

    def file_bytes(self, elements: int) -> int:
        """Bytes of `elements` in the file; `elements` must be a multiple of `block`."""
        return elements // self.block * self.block_bytes


# Codes are the values plus `zero`. Twice the numbers of four bits of the OCP microscaling formats (E2M1); ggml's 4-bit
# numbers that lie closer around zero.
_E2M1 = tuple(12 + sign * value for sign in (1, -1) for value in (0, 1, 2, 3, 4, 6, 8, 12))
_IQ4 = tuple(128 + value for value in (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113))

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("F32", 0, 1, 4, Layout.F32),
        Format("F16", 1, 1, 2, Layout.F16),
        Format("BF16", 30, 1, 2, Layout.BF16),
        Format("Q4_0", 2, 32, 18, Layout.NIBBLES, 32, 8, 15, False, 2),
        Format("Q4_1", 3, 32, 20, Layout.NIBBLES, 32, 0, 15, True, 2),
        Format("Q5_0", 6, 32, 22, Layout.BYTES, 32, 16, 31, False, 2),
        Format("Q5_1", 7, 32, 24, Layout.BYTES, 32, 0, 31, True, 2),
        Format("Q8_0", 8, 32, 34, Layout.BYTES, 32, 128, 255, False, 2),
        Format("Q2_K", 10, 256, 84, Layout.NIBBLES, 16, 0, 3, True, 4),
        Format("Q3_K", 11, 256, 110, Layout.NIBBLES, 16, 4, 7, False, 4),
        Format("Q4_K", 12, 256, 144, Layout.NIBBLES, 32, 0, 15, True, 4),
        Format("Q5_K", 13, 256, 176, Layout.BYTES, 32, 0, 31, True, 4),
        Format("Q6_K", 14, 256, 210, Layout.BYTES, 16, 32, 63, False, 4),
        Format("Q8_K", 15, 256, 292, Layout.BYTES, 32, 128, 255, False, 4),
        Format("IQ4_NL", 20, 32, 18, Layout.NIBBLES, 32, 128, 241, False, 2, _IQ4),
        Format("IQ4_XS", 23, 256, 136, Layout.NIBBLES, 32, 128, 241, False, 4, _IQ4),
        Format("MXFP4", 39, 32, 17, Layout.NIBBLES, 32, 12, 24, False, 4, _E2M1),
    )
}
BY_GGML_TYPE: dict[int, Format] = {f.ggml_type: f for f in FORMATS.values()}
