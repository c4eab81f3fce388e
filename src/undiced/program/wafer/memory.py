"""Bytes of values in a core's memory, and how they are aligned: what planning and checking of addresses agree on."""

from __future__ import annotations

from math import ceil

from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import BITS, Kind

ALIGNMENT = 8  # a port's width: operands of one operation then start in banks that rules allow
LASTING = (Kind.WEIGHT, Kind.TABLE, Kind.CACHE)  # there from token to token, for each run by itself


def aligned(size: float) -> int:
    """Bytes rounded up to whole ports."""
    return ceil(size / ALIGNMENT) * ALIGNMENT


def share_bytes(shares: Shares, name: str) -> int:
    """Bytes of one copy of a value on the fullest core, with the positions that the shares' step fills."""
    return aligned(shares.size(name) * BITS[shares.values[name].dtype] / 8)
