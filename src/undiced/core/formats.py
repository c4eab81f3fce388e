"""How weights are stored, in files and resident. Data only: no tensor is touched here.

A quantized weight is `scale * (code - zero) + minimum`, with one scale (and minimum) a group of `group` columns. Where
a format has a `lookup`, the stored nibble says which of its 16 codes is meant. FP8 weights are `scale * number`.
Sources: block layouts of the GGUF specification, checked bit by bit against the `gguf` package in tests. Formats from
`OURS` on stand in no file: `checkpoint.schemes` arranges what Hugging Face folders hold in several tensors to them.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class Layout(IntEnum):
    """Resident layouts. Those of the first two are multiplied as integers. Values are shared with the native code."""

    NIBBLES = 0  # two unsigned 4-bit codes a byte
    BYTES = 1  # one unsigned 8-bit code a byte
    BF16 = 2
    F16 = 3
    F32 = 4
    FP8 = 5  # one byte a number, E4M3 without infinities; multiplied as floats


OURS = 1000  # type numbers from here on are not GGUF's


class Format(Struct, frozen=True):
    """One number format of a checkpoint.

    Attributes:
        name: GGUF's name of it.
        ggml_type: GGUF's type number, or from `OURS` on one of ours.
        block: elements a block in the file, or as arranged.
        block_bytes: bytes a block.
        layout: the resident layout that keeps every bit of its information.
        group: columns that share a scale when resident (0 for dense formats).
        zero: the code that means zero before the minimum is added.
        code_max: largest code.
        has_min: whether a minimum is stored next to each scale.
        scale_bytes: 2 (f16) or 4 (f32, where a scale is a product or a power of two) a scale or minimum, resident.
        lookup: the 16 codes that nibbles stand for; empty where the stored code is the code.
        has_zero: whether each group has a zero of its own, next to its scale.
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
    has_zero: bool = False

    @property
    def quantized(self) -> bool:
        """Whether weights are integer codes, and multiplied as such."""
        return self.layout in (Layout.NIBBLES, Layout.BYTES)

    @property
    def resident_bits(self) -> float:
        """Bits a weight takes in memory, its share of scales, minimums and zeros included."""
        numbers = 2 if self.has_min or self.has_zero else 1
        shared = 8 * self.scale_bytes * numbers / self.group if self.group else 0.0
        return _BITS[self.layout] + shared

    def file_bytes(self, elements: int) -> int:
        """Bytes of `elements` in the file; `elements` must be a multiple of `block`."""
        return elements // self.block * self.block_bytes


_BITS = {Layout.NIBBLES: 4, Layout.BYTES: 8, Layout.FP8: 8, Layout.BF16: 16, Layout.F16: 16, Layout.F32: 32}

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
        Format("INT4_32", 1000, 32, 24, Layout.NIBBLES, 32, 0, 15, False, 4, (), True),
        Format("INT4_128", 1001, 128, 72, Layout.NIBBLES, 128, 0, 15, False, 4, (), True),
        Format("INT8_32", 1002, 32, 40, Layout.BYTES, 32, 0, 255, False, 4, (), True),
        Format("INT8_128", 1003, 128, 136, Layout.BYTES, 128, 0, 255, False, 4, (), True),
        Format("FP8_32", 1004, 32, 36, Layout.FP8, 32, scale_bytes=4),
        Format("FP8_128", 1005, 128, 132, Layout.FP8, 128, scale_bytes=4),
    )
}
BY_GGML_TYPE: dict[int, Format] = {f.ggml_type: f for f in FORMATS.values() if f.ggml_type < OURS}
GGUF_FORMATS: tuple[str, ...] = tuple(f.name for f in BY_GGML_TYPE.values())
