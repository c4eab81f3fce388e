"""Digests as the interpreter itself has them: `hashlib` loads OpenSSL, which takes 4 ms and 4 MB."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol


class Digest(Protocol):
    """What `hashlib` calls a hash."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more."""

    def digest(self) -> bytes:
        """Of all that was taken in."""

    def hexdigest(self) -> str:
        """The same as text."""


def _own(name: str, *homes: str) -> Callable[..., Digest]:
    """Of the first of the interpreter's modules that is there; they are named otherwise in some versions."""
    for home in (*homes, "hashlib"):
        try:
            found: Callable[..., Digest] = getattr(importlib.import_module(home), name)
        except (ImportError, AttributeError):
            continue
        return found
    raise ImportError(name)


sha256 = _own("sha256", "_sha2", "_sha256")
blake2b = _own("blake2b", "_blake2")
