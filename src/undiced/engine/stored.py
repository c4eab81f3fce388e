"""What a KV cache of a type keeps of keys and values: the obvious twin of what the native kernels write."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiced.core.kv_type import KEY_GROUP, KvType

F32 = NDArray[np.float32]
_MOST = np.float32(127)


def stored_keys(x: F32, type_: KvType) -> F32:
    """Keys (..., columns) as they are read back."""
    return _stored(x, type_, KEY_GROUP)


def stored_values(x: F32, type_: KvType) -> F32:
    """Values (..., columns) as they are read back."""
    return _stored(x, type_, x.shape[-1])


def _stored(x: F32, type_: KvType, group: int) -> F32:
    """In f16; or, `group` columns at a time, as codes in [-127, 127] times the least f16 scale that holds them."""
    if type_ == "f16":
        return x.astype(np.float16).astype(np.float32)
    out = np.empty_like(x)
    for first in range(0, x.shape[-1], group):
        part = x[..., first : first + group]
        exact = np.abs(part).max(axis=-1, keepdims=True) / _MOST
        scale = exact.astype(np.float16)
        scale = np.where(scale.astype(np.float32) < exact, np.nextafter(scale, np.float16(np.inf)), scale)
        wide = scale.astype(np.float32)
        codes = np.rint(np.clip(part * (1 / np.where(wide == 0, np.float32(1), wide)), -_MOST, _MOST))
        out[..., first : first + group] = codes * wide
    return out
