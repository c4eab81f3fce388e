"""Memory that large requests took goes back to the system when they end. Knows nothing about requests."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD in malloc.h
_LARGE_BYTES = 512 << 10


def give_back_large_blocks() -> bool:
    """Let the allocator keep no large block that was freed; returns whether it can be told so.

    Left alone, glibc takes large blocks from its heap once one was freed, and small ones that live on keep those there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_MMAP_THRESHOLD, _LARGE_BYTES) == 1
