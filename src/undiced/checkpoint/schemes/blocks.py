"""Codes, scales and zeros of a matrix written as blocks of a format: exact, whatever the type of the scales.

Which format it is follows from what shares a scale: 128 columns or more, or 32, else every weight becomes an F32. An
integer weight is the float32 product of its scale and the whole number (code - zero), as the methods define it.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.decode import BLOCKS, fp8
from undiced.core.formats import FORMATS

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Words = NDArray[np.uint32]

_ROWS = 64  # taken at a time where weights become F32, so that what is between stays small


def narrow(kind: str, columns: int, group: int) -> str:
    """The format of a matrix whose scales are each for `group` columns: of INT4, INT8 or FP8, or F32."""
    shared = gcd(columns, group)
    return next((f"{kind}_{block}" for block in (128, 32) if shared % block == 0), "F32")


def whole_rows(packed: Words) -> Bytes:
    """(inputs / n, outputs) words with n inputs each, the first lowest -> (outputs, bytes), inputs in order."""
    return np.ascontiguousarray(packed.T).astype("<u4", copy=False).view(np.uint8)


def integers(form: str, codes: Bytes, scales: Floats, zeros: Floats, bits: int) -> Bytes:
    """A matrix of INT4 or INT8, or dense.

    Args:
        form: what `narrow` said.
        codes: (rows, columns * bits / 8), two codes a byte, the first low, or one.
        scales, zeros: (rows, groups).
        bits: of a code, 4 or 8.
    """
    rows, columns = len(codes), codes.shape[1] * 8 // bits
    if form == "F32":
        return _dense(codes, scales, zeros, bits)
    block = FORMATS[form].block
    out = np.empty((rows, columns // block), BLOCKS[form])
    out["lo" if bits == 4 else "q"] = codes.reshape(rows, columns // block, -1)
    repeated = columns // block // scales.shape[1]
    out["d"], out["z"] = np.repeat(scales, repeated, axis=1), np.repeat(zeros, repeated, axis=1)
    return out.view(np.uint8).reshape(-1)


def _dense(codes: Bytes, scales: Floats, zeros: Floats, bits: int) -> Bytes:
    repeated = codes.shape[1] * 8 // bits // scales.shape[1]
    return chosen_groups(codes, scales, zeros, bits, np.repeat(np.arange(scales.shape[1]), repeated))


def chosen_groups(codes: Bytes, scales: Floats, zeros: Floats, bits: int, groups: NDArray[np.int64]) -> Bytes:
    """The matrix as F32, where column c has the scale and the zero of group `groups[c]`."""
    rows = len(codes)
    out = np.empty((rows, codes.shape[1] * 8 // bits), "<f4")
    for first in range(0, rows, _ROWS):
        some = slice(first, first + _ROWS)
        numbers = unpacked(codes[some], bits).astype(np.float32) - zeros[some][:, groups]
        out[some] = scales[some][:, groups] * numbers
    return out.view(np.uint8).reshape(-1)


def unpacked(codes: Bytes, bits: int) -> Bytes:
    """(..., bytes) -> (..., codes): the low nibble of a byte first."""
    if bits == 8:
        return codes
    return np.stack([codes & np.uint8(15), codes >> np.uint8(4)], axis=-1).reshape(*codes.shape[:-1], -1)


def codes_of(words: Words, bits: int) -> Bytes:
    """(..., words) -> (..., codes): the lowest bits of a word first."""
    return unpacked(np.ascontiguousarray(words, "<u4").view(np.uint8), bits)


def eight_bit_floats(form: str, codes: Bytes, scales: Floats, block: tuple[int, int]) -> Bytes:
    """A matrix of FP8, or dense.

    Args:
        form: what `narrow` said.
        codes: (rows, columns) E4M3.
        scales: one for each `block` of (rows, columns), the last ones for what is left.
    """
    rows, columns = codes.shape
    tall = np.repeat(scales, block[0], axis=0)[:rows]
    if form == "F32":
        wide = np.repeat(tall, block[1], axis=1)[:, :columns]
        return (wide * fp8(codes)).astype("<f4").view(np.uint8).reshape(-1)
    size = FORMATS[form].block
    out = np.empty((rows, columns // size), BLOCKS[form])
    out["q"] = codes.reshape(rows, columns // size, size)
    repeated = min(block[1], columns) // size  # the columns' remainder is a whole number of blocks, too
    out["d"] = np.repeat(tall, repeated, axis=1)[:, : columns // size]
    return out.view(np.uint8).reshape(-1)
