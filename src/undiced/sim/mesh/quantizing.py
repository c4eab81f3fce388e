"""Makes narrow weights of floats as cores hold them: integers or pairs in words, with 16-bit scales of groups.

What a row holds is what the steps of `program.wafer.unpacking` make of its words, times its scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.unpacking import FIELDS, Field, Step
from undiced.program.wafer.value import GROUPS, DType
from undiced.sim.mesh.rounding import F32, rounded

Words = NDArray[np.uint16]
_HIGHEST = {DType.I8: 127, DType.I4: 7}  # of integers, whose lowest is its negative
_HIGHEST_IN_PLACE, _HIGHEST_BELOW = 496, 15.75  # of f8: of rows that are read in place, of those below them
_SHARES = {DType.I4: (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)}  # of a group's largest that its highest may be
_LEAST, _MOST = 0x4000, 0x5F80  # magnitudes of an f8 word, its second row apart
_PLACE = 0x80  # from one to the next


def quantized(rows: F32, dtype: DType) -> tuple[F32, F32]:
    """What narrow weights and their scales hold of every core's rows, [rows, columns, rows of a share, elements]; and
    the scale of each part of each row, [rows, columns, rows of a share, scales].

    A group is a part of a row, or as many whole rows as fit into one. Its scale makes its largest element the highest
    code; of `i4` the scale of several that leaves the least squared error, beyond whose codes elements are cut off.
    """
    if dtype is DType.F8:
        return _paired(rows)
    largest = _largest(rows, GROUPS[dtype])
    made, scale, error = np.zeros_like(rows), np.zeros_like(largest), np.full(largest.shape, np.inf)
    for share in _SHARES.get(dtype, (1.0,)):
        tried = rounded(largest * np.float32(share / _HIGHEST[dtype]), DType.F16)
        spread = _spread(tried, rows.shape, GROUPS[dtype])
        codes = np.clip(np.rint(_over(rows, spread)), -_HIGHEST[dtype], _HIGHEST[dtype]) + np.float32(0)  # no -0
        found = (_walked(codes, dtype) * spread).astype(np.float32)
        off = _summed((found - rows) ** 2, GROUPS[dtype])
        better = off < error
        error, scale = np.where(better, off, error), np.where(better, tried, scale)
        made = np.where(_spread(better.astype(np.float32), rows.shape, GROUPS[dtype]) > 0, found, made)
    return made, _of_rows(scale, rows.shape, GROUPS[dtype])


def _paired(rows: F32) -> tuple[F32, F32]:
    """Pairs of rows: the second by itself, then the first, whose words end with the second's bits."""
    size, count = GROUPS[DType.F8], rows.shape[2]
    largest = _of_rows(_largest(rows, size), rows.shape, size)
    highest = np.where(np.arange(count) % 2 == 0, _HIGHEST_IN_PLACE, _HIGHEST_BELOW)[:, None].astype(np.float32)
    scale = rounded(largest / highest, DType.F16)
    codes = _over(rows, _along(scale, rows.shape[3], size))
    made = _walked(codes, DType.F8) * _along(scale, rows.shape[3], size)
    return made.astype(np.float32), scale


def _walked(codes: F32, dtype: DType) -> F32:
    """What steps make of the words that hold codes [rows, columns, rows of a share, elements]; of `f8` codes are what
    is wanted, not yet rounded."""
    fields = FIELDS[dtype]
    count = codes.shape[2]
    whole = np.pad(codes, ((0, 0), (0, 0), (0, -count % len(fields)), (0, 0)))
    by_field = [whole[:, :, n :: len(fields)] for n in range(len(fields))]
    words = paired_words(*by_field) if dtype is DType.F8 else words_of(by_field, fields)
    made = np.empty_like(whole)
    for n, field in enumerate(fields):
        made[:, :, n :: len(fields)] = unpacked(words, field.steps)
    return made[:, :, :count]


def words_of(codes: list[F32], fields: tuple[Field, ...]) -> Words:
    """Words of integers: the highest field has a sign, the others count from their lowest."""
    word = np.zeros(codes[0].shape, np.uint16)
    for each, field in zip(codes, fields, strict=True):
        above = -sum(step.by for step in field.steps if step.kind == "add")
        word |= ((each.astype(np.int16) + np.int16(above)).astype(np.uint16) & np.uint16((1 << field.bits) - 1)) << (
            np.uint16(field.low)
        )
    return word


def paired_words(first: F32, second: F32) -> Words:
    """The f8 words nearest to what two rows want: of the second its code; of the first the nearest that ends so."""
    place = FIELDS[DType.F8][1]
    below = np.clip(np.rint((_HIGHEST_BELOW + 0.25 - second) * 4), 0, (1 << place.bits) - 1).astype(np.uint16)
    size = np.abs(first)
    near = rounded(np.clip(size, 2, 511), DType.F16).astype(np.float16).view(np.uint16).astype(np.int32)
    best, least = np.zeros(first.shape, np.int32), np.full(first.shape, np.inf)
    for move in (-_PLACE, 0, _PLACE):
        tried = np.clip((near & _MOST) + move, _LEAST, _MOST) | below
        off = np.abs(tried.astype(np.uint16).view(np.float16).astype(np.float32) - size)
        best, least = np.where(off < least, tried, best), np.minimum(off, least)
    word: Words = best.astype(np.uint16) | (np.signbit(first).astype(np.uint16) << np.uint16(15))
    return word


def unpacked(words: Words, steps: tuple[Step, ...]) -> F32:
    """What a core's operations make of words, as 16-bit floats; each as the words lie without steps."""
    word, made = words, words.view(np.float16)
    for step in steps:
        if step.kind == "add":
            made = (made + np.float16(step.by)).astype(np.float16)
        elif step.kind == "float":
            made = word.view(np.int16).astype(np.float16)
        else:
            if step.kind == "shift":
                word = (word.view(np.int16) >> np.int16(step.by)).view(np.uint16)
            elif step.kind == "and":
                word = word & np.uint16(step.by)
            else:
                word = word | np.uint16(step.by)
            made = word.view(np.float16)
    return made.astype(np.float32)


# Groups: [rows, columns, groups] of short rows, [rows, columns, rows of a share, groups of a row] of others


def _grouped(rows: F32, size: int) -> F32:
    """Elements of each group last, zeros where a group is not full."""
    *grid, count, row = rows.shape
    if row < size:
        together = size // row
        return np.pad(rows, ((0, 0), (0, 0), (0, -count % together), (0, 0))).reshape(*grid, -1, together * row)
    return np.pad(rows, ((0, 0), (0, 0), (0, 0), (0, -row % size))).reshape(*grid, count, -1, size)


def _largest(rows: F32, size: int) -> F32:
    found: F32 = np.abs(_grouped(rows, size)).max(axis=-1)
    return found


def _summed(rows: F32, size: int) -> F32:
    found: F32 = _grouped(rows, size).sum(axis=-1)
    return found


def _of_rows(groups: F32, shape: tuple[int, ...], size: int) -> F32:
    """What groups have, for each part of each row."""
    if shape[3] >= size:
        return groups
    every = np.repeat(groups, size // shape[3], axis=-1)[..., : shape[2], None]
    return np.ascontiguousarray(every)


def _along(parts: F32, row: int, size: int) -> F32:
    """What parts of rows have, for each element."""
    return np.repeat(parts, size if parts.shape[-1] > 1 else row, axis=-1)[..., :row]


def _spread(groups: F32, shape: tuple[int, ...], size: int) -> F32:
    return _along(_of_rows(groups, shape, size), shape[3], size)


def _over(rows: F32, scale: F32) -> F32:
    made: F32 = np.divide(rows, scale, out=np.zeros_like(rows), where=scale > 0)
    return made
