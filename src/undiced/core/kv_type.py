"""How the host engine keeps keys and values: the types of its KV cache, by name. Knows no engine."""

from __future__ import annotations

from typing import Literal, get_args

from undiced.core.errors import InvalidRequestError
from undiced.core.quote import quoted

KvType = Literal["f16", "int8"]
KV_TYPES: tuple[KvType, ...] = get_args(KvType)
KEY_GROUP = 32  # columns of a key that share an int8 scale; all columns of a value do
_F16_BYTES = 2  # of a number, and of the scale of int8 codes


def kv_type(name: str) -> KvType:
    """One of KV_TYPES.

    Raises:
        InvalidRequestError: there is none of that name.
    """
    for known in KV_TYPES:
        if name == known:
            return known
    raise InvalidRequestError(
        f"There is no KV cache of type {quoted(name)}.",
        remedy="Choose f16, or int8, which takes about half the memory and changes answers slightly.",
    )


def head_bytes(type_: KvType, columns: int) -> int:
    """Bytes of one position's key and value of one head, of so many columns each."""
    if type_ == "f16":
        return 2 * columns * _F16_BYTES
    return 2 * columns + (-(-columns // KEY_GROUP) + 1) * _F16_BYTES
