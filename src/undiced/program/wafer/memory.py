"""Bytes of values in a core's memory, and how they are aligned: what planning and checking of addresses agree on.

Which of two halves of the banks a value begins in is chosen when addresses are; there is room for both until then.
"""

from __future__ import annotations

from math import ceil

from undiced.program.wafer.banks import Banks
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import BITS, Kind, Value

ALIGNMENT = 4  # of 32-bit elements, and of reads of 16-bit ones
LASTING = (Kind.WEIGHT, Kind.TABLE, Kind.CACHE)  # there from token to token, for each run by itself


def aligned(size: float, unit: int = ALIGNMENT) -> int:
    """Bytes rounded up to whole units."""
    return ceil(size / unit) * unit


def share_bytes(shares: Shares, name: str, tokens: int = 1) -> int:
    """Bytes of one copy of a value on the fullest core, with the positions that the shares' step fills; of so many
    tokens side by side."""
    return aligned(shares.size(name) * tokens * BITS[shares.values[name].dtype] / 8)


def block_bytes(shares: Shares, name: str, copies: int, banks: Banks, tokens: int = 1) -> int:
    """Bytes that copies of a value take, which all begin in one half of the banks, whichever it is; or the tokens of a
    chunk side by side, whichever is more."""
    share, chunk = share_bytes(shares, name), share_bytes(shares, name, tokens)
    apart = (copies - 1) * aligned(share, banks.period) + aligned(share, banks.half)
    return max(apart, aligned(chunk, banks.half)) + banks.half


def tokens(chunk: int, stream: Stream, value: Value) -> int:
    """Of how many tokens of a chunk a core has a value at once."""
    if value.once or value.kind in LASTING or (stream.last and value.kind is not Kind.STATE):
        return 1
    return chunk


def begun(address: int, half: int, banks: Banks) -> int:
    """The first address from `address` on, a multiple of `banks.half`, that is in half 0 or 1 of the banks."""
    return address + (address // banks.half + half) % 2 * banks.half
