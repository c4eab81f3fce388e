"""The work of widening rows ahead of their product: through the store beside the datapath, and into memory at last."""

from __future__ import annotations

from math import ceil

from msgspec.structs import replace

from undiced.program.wafer.ahead import rows_of_widen
from undiced.program.wafer.instruction import Widen
from undiced.program.wafer.products import HALF, unpack
from undiced.program.wafer.share import Shares
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.work import Vectors, Work


def widen(i: Widen, s: Shares) -> Work:
    """The steps of every row of a word, as many words at once as `together` says; once, for all tokens."""
    rows, out = rows_of_widen(i, s.values), list[Vectors]()
    words = i.count * rows.length
    count = ceil(words / i.together)
    for field in FIELDS[rows.dtype]:
        made = unpack(field.steps, ceil(words / count), count, HALF * i.together)
        out += [*made[:-1], replace(made[-1], beside=0)] if made else []
    return Work(tuple(out))
