"""Weights as numbers, in numpy: the obvious twin of the native packer, for every format of `core.formats`.

Knows the block layouts of the formats; knows no file and no model. Exact to the bit: a quantized weight is
`scale * (code - zero) + minimum` in float32, in this order, and no step rounds anything that the file holds.
Sources: the block layouts of the GGUF specification; tests compare each bit with the `gguf` package. E4M3: the OCP
specification of 8-bit floats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.tensor import TensorInfo
from undiced.core.formats import FORMATS

Bytes = NDArray[np.uint8]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Blocks = NDArray[np.void]

LOW, FOUR = np.uint8(15), np.uint8(4)
K_HEAD: list[tuple[str, str, tuple[int, ...]]] = [("d", "<f2", ()), ("dmin", "<f2", ()), ("sm", "u1", (12,))]
BLOCKS: dict[str, np.dtype[np.void]] = {
    "Q4_0": np.dtype([("d", "<f2"), ("lo", "u1", (16,))]),
    "Q4_1": np.dtype([("d", "<f2"), ("m", "<f2"), ("lo", "u1", (16,))]),
    "Q5_0": np.dtype([("d", "<f2"), ("hi", "u1", (4,)), ("lo", "u1", (16,))]),
    "Q5_1": np.dtype([("d", "<f2"), ("m", "<f2"), ("hi", "u1", (4,)), ("lo", "u1", (16,))]),
    "Q8_0": np.dtype([("d", "<f2"), ("q", "u1", (32,))]),
    "Q2_K": np.dtype([("sm", "u1", (16,)), ("lo", "u1", (2, 32)), ("d", "<f2"), ("dmin", "<f2")]),
    "Q3_K": np.dtype([("hi", "u1", (32,)), ("lo", "u1", (2, 32)), ("sc", "u1", (12,)), ("d", "<f2")]),
    "Q4_K": np.dtype([*K_HEAD, ("lo", "u1", (4, 32))]),
    "Q5_K": np.dtype([*K_HEAD, ("hi", "u1", (32,)), ("lo", "u1", (4, 32))]),
    "Q6_K": np.dtype([("lo", "u1", (2, 64)), ("hi", "u1", (2, 32)), ("sc", "i1", (16,)), ("d", "<f2")]),
    "Q8_K": np.dtype([("d", "<f4"), ("q", "u1", (256,)), ("sums", "<i2", (16,))]),
    "IQ4_NL": np.dtype([("d", "<f2"), ("lo", "u1", (16,))]),
    "IQ4_XS": np.dtype([("d", "<f2"), ("hi", "<u2"), ("sc", "u1", (4,)), ("lo", "u1", (8, 16))]),
    "MXFP4": np.dtype([("e", "u1"), ("lo", "u1", (16,))]),
    "INT4_32": np.dtype([("d", "<f4"), ("z", "<f4"), ("lo", "u1", (16,))]),
    "INT4_128": np.dtype([("d", "<f4"), ("z", "<f4"), ("lo", "u1", (64,))]),
    "INT8_32": np.dtype([("d", "<f4"), ("z", "<f4"), ("q", "u1", (32,))]),
    "INT8_128": np.dtype([("d", "<f4"), ("z", "<f4"), ("q", "u1", (128,))]),
    "FP8_32": np.dtype([("d", "<f4"), ("q", "u1", (32,))]),
    "FP8_128": np.dtype([("d", "<f4"), ("q", "u1", (128,))]),
}


@dataclass(frozen=True, slots=True)
class Planes:
    """A quantized matrix taken apart: value = scale * (code - zero) + minimum, `zero` from its format.

    Attributes:
        codes: (rows, columns) unsigned codes.
        scales: (rows, columns / group); float16, or float32 for K-quants.
        minimums: like `scales`, or None for formats without minimums.
        zeros: like `scales`, whole numbers that take the place of the format's zero, or None.
    """

    codes: Bytes
    scales: Halves | Floats
    minimums: Halves | Floats | None
    zeros: Floats | None = None


def planes(info: TensorInfo, raw: memoryview) -> Planes:
    """Take a quantized tensor apart; all dimensions but the last are folded into rows.

    Raises ValueError for a dense format or when `raw` is not the tensor's bytes.
    """
    stored = FORMATS[info.format]
    if not stored.quantized:
        raise ValueError(f"{info.name} is {info.format}: only quantized formats have planes")
    _check_length(info, raw)
    rows, columns = prod(info.shape[:-1]), info.shape[-1]
    parts = TAKE_APART[info.format](np.frombuffer(raw, BLOCKS[info.format]))
    groups = (rows, columns // stored.group)
    minimums = None if parts.minimums is None else parts.minimums.reshape(groups)
    zeros = None if parts.zeros is None else parts.zeros.reshape(groups)
    return Planes(parts.codes.reshape(rows, columns), parts.scales.reshape(groups), minimums, zeros)


def to_float(info: TensorInfo, raw: memoryview) -> Floats:
    """The tensor as float32 of `info.shape`; a fresh array. Raises ValueError when `raw` is not the tensor's bytes."""
    _check_length(info, raw)
    if info.format in DENSE:
        return DENSE[info.format](raw).reshape(info.shape)
    stored = FORMATS[info.format]
    if not stored.quantized:
        return _scaled_fp8(np.frombuffer(raw, BLOCKS[info.format])).reshape(info.shape)
    parts = planes(info, raw)
    zeros = np.float32(stored.zero) if parts.zeros is None else parts.zeros[..., None]
    codes = parts.codes.reshape(*parts.scales.shape, stored.group).astype(np.float32) - zeros
    with np.errstate(all="ignore"):  # infinite and NaN scales are the file's business
        values = parts.scales.astype(np.float32)[..., None] * codes
        if parts.minimums is not None:
            values += parts.minimums.astype(np.float32)[..., None]
    return values.reshape(info.shape)


def _check_length(info: TensorInfo, raw: memoryview) -> None:
    if raw.nbytes != info.nbytes:
        raise ValueError(f"{info.name} takes {info.nbytes} bytes, but {raw.nbytes} were given")


def fp8(codes: Bytes) -> Floats:
    """E4M3 without infinities: a sign, 4 bits of exponent (bias 7), 3 of mantissa; all seven set are NaN."""
    whole = np.arange(256)
    exponent, mantissa = whole >> 3 & 15, whole & 7
    sizes = np.where(exponent == 0, np.ldexp(mantissa, -9), np.ldexp(8 + mantissa, exponent - 10))
    sizes[whole & 127 == 127] = np.nan
    values: Floats = np.where(whole < 128, sizes, -sizes).astype(np.float32)[codes]
    return values


def _scaled_fp8(blocks: Blocks) -> Floats:
    with np.errstate(all="ignore"):
        return blocks["d"].astype(np.float32)[:, None] * fp8(blocks["q"])


def _bf16(raw: memoryview) -> Floats:
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)


DENSE: dict[str, Callable[[memoryview], Floats]] = {
    "F32": lambda raw: np.frombuffer(raw, "<f4").astype(np.float32),
    "F16": lambda raw: np.frombuffer(raw, "<f2").astype(np.float32),
    "BF16": _bf16,
}


def _nibbles(packed: Bytes) -> Bytes:
    """(..., n) bytes -> (..., 2, n): the low nibbles, then the high ones."""
    return np.stack([packed & LOW, packed >> FOUR], axis=-2)


def _fifth_bits(packed: Bytes) -> Bytes:
    """(blocks, 4) bytes -> (blocks, 32) fifth bits, already in place (0 or 16)."""
    return np.unpackbits(packed, axis=-1, bitorder="little") << FOUR


def _q4(blocks: Blocks) -> Planes:
    minimums = blocks["m"] if "m" in (blocks.dtype.names or ()) else None
    return Planes(_nibbles(blocks["lo"]), blocks["d"], minimums)


def _q5(blocks: Blocks) -> Planes:
    low = _q4(blocks)
    return Planes(low.codes.reshape(-1, 32) | _fifth_bits(blocks["hi"]), low.scales, low.minimums)


def _q8_0(blocks: Blocks) -> Planes:
    return Planes(blocks["q"] ^ np.uint8(128), blocks["d"], None)  # two's complement to offset 128


def _k_scales(blocks: Blocks) -> tuple[Floats, Floats]:
    """Eight 6-bit scales and minimums a block, packed in 12 bytes -> two (blocks, 8) float32, minimums negated."""
    first, second, third = np.moveaxis(blocks["sm"].reshape(-1, 3, 4), 1, 0)
    scale = np.concatenate([first & 63, (third & 15) | (first >> 6 << 4)], axis=-1)
    minimum = np.concatenate([second & 63, (third >> 4) | (second >> 6 << 4)], axis=-1)
    with np.errstate(all="ignore"):
        scales = blocks["d"].astype(np.float32)[:, None] * scale.astype(np.float32)
        minimums = -(blocks["dmin"].astype(np.float32)[:, None] * minimum.astype(np.float32))
    return scales, minimums


def _quarters(packed: Bytes) -> Bytes:
    """(..., n) bytes -> (..., 4, n): the lowest two bits of each, then the next ones."""
    return packed[..., None, :] >> np.array([0, 2, 4, 6], np.uint8)[:, None] & np.uint8(3)


def _q2_k(blocks: Blocks) -> Planes:
    factors = blocks["sm"]
    with np.errstate(all="ignore"):
        scales = blocks["d"].astype(np.float32)[:, None] * (factors & LOW).astype(np.float32)
        minimums = -(blocks["dmin"].astype(np.float32)[:, None] * (factors >> FOUR).astype(np.float32))
    return Planes(_quarters(blocks["lo"]), scales, minimums)


def _q3_k(blocks: Blocks) -> Planes:
    bits = np.unpackbits(
        blocks["hi"][..., None], axis=-1, bitorder="little"
    )  # (blocks, 32, 8): bit g is for columns 32 g
    third = np.moveaxis(bits, -1, -2).reshape(-1, 2, 4, 32) << np.uint8(2)
    low = _nibbles(blocks["sc"][:, :8]).reshape(-1, 16)
    factors = (low | _quarters(blocks["sc"][:, 8:]).reshape(-1, 16) << FOUR).astype(np.float32) - np.float32(32)
    with np.errstate(all="ignore"):
        scales = blocks["d"].astype(np.float32)[:, None] * factors
    return Planes(_quarters(blocks["lo"]) | third, scales, None)


def _q4_k(blocks: Blocks) -> Planes:
    return Planes(_nibbles(blocks["lo"]), *_k_scales(blocks))


def _q5_k(blocks: Blocks) -> Planes:
    bits = np.unpackbits(blocks["hi"][..., None], axis=-1, bitorder="little")  # (blocks, 32, 8): bit g is for group g
    fifth = np.moveaxis(bits, -1, -2) << FOUR
    return Planes(_nibbles(blocks["lo"]).reshape(-1, 8, 32) | fifth, *_k_scales(blocks))


def _q6_k(blocks: Blocks) -> Planes:
    low = _nibbles(blocks["lo"]).reshape(-1, 2, 4, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    high = blocks["hi"][:, :, None, :] >> shifts & np.uint8(3)
    with np.errstate(all="ignore"):
        scales = blocks["d"].astype(np.float32)[:, None] * blocks["sc"].astype(np.float32)
    return Planes(low | high << FOUR, scales, None)


def _q8_k(blocks: Blocks) -> Planes:
    scales = np.repeat(blocks["d"].astype(np.float32), 8)  # the sums are for products; the codes say the same
    return Planes(blocks["q"] ^ np.uint8(128), scales, None)


def _looked_up(name: str, nibbles: Bytes) -> Bytes:
    return np.array(FORMATS[name].lookup, np.uint8)[nibbles]


def _iq4_nl(blocks: Blocks) -> Planes:
    return Planes(_looked_up("IQ4_NL", _nibbles(blocks["lo"])), blocks["d"], None)


def _iq4_xs(blocks: Blocks) -> Planes:
    low = np.stack([blocks["sc"] & LOW, blocks["sc"] >> FOUR], axis=-1).reshape(-1, 8)
    high = (blocks["hi"][:, None] >> np.arange(0, 16, 2, dtype=np.uint16)).astype(np.uint8) & np.uint8(3)
    with np.errstate(all="ignore"):
        factors = (low | high << FOUR).astype(np.float32) - np.float32(32)
        scales = blocks["d"].astype(np.float32)[:, None] * factors
    return Planes(_looked_up("IQ4_XS", _nibbles(blocks["lo"])), scales, None)


def _mxfp4(blocks: Blocks) -> Planes:
    exponents = blocks["e"].astype(np.uint32)  # the scale is half of 2^(e - 127), as codes are twice the values
    tiny = np.uint32(0x00200000) << np.minimum(exponents, 1)  # below the smallest normal float32
    bits = np.where(exponents < 2, tiny, np.maximum(exponents, 1) - np.uint32(1) << np.uint32(23))
    return Planes(_looked_up("MXFP4", _nibbles(blocks["lo"])), bits.astype(np.uint32).view(np.float32), None)


def _int4(blocks: Blocks) -> Planes:
    codes = np.stack([blocks["lo"] & LOW, blocks["lo"] >> FOUR], axis=-1)
    return Planes(codes, blocks["d"], None, blocks["z"])


def _int8(blocks: Blocks) -> Planes:
    return Planes(blocks["q"], blocks["d"], None, blocks["z"])


TAKE_APART: dict[str, Callable[[Blocks], Planes]] = {
    "Q4_0": _q4,
    "Q4_1": _q4,
    "Q5_0": _q5,
    "Q5_1": _q5,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "Q8_K": _q8_k,
    "IQ4_NL": _iq4_nl,
    "IQ4_XS": _iq4_xs,
    "MXFP4": _mxfp4,
    "INT4_32": _int4,
    "INT4_128": _int4,
    "INT8_32": _int8,
    "INT8_128": _int8,
}
