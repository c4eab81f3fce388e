"""The reference interpreter's memory of a sequence: rows of keys and values (or latents) by layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


class KvState:
    """One sequence's cache; grows by doubling.

    Attributes:
        length: positions already processed, the next token's position.
    """

    def __init__(self) -> None:
        self.length = 0
        self._rows: dict[tuple[int, str], F32] = {}

    def append(self, layer: int, what: str, rows: F32) -> F32:
        """Appends (n, width) rows after position `length`; returns all rows so far, (length + n, width)."""
        total = self.length + rows.shape[0]
        buffer = self._rows.get((layer, what))
        if buffer is None or buffer.shape[0] < total:
            grown = np.zeros((max(total, 2 * self.length), rows.shape[1]), dtype=np.float32)
            if buffer is not None:
                grown[: self.length] = buffer[: self.length]
            buffer = self._rows[(layer, what)] = grown
        buffer[self.length : total] = rows
        return buffer[:total]

    def rows(self, layer: int, what: str) -> F32:
        """The rows of all finished positions, (length, width); `what` is "k", "v" or "latent"."""
        return self._rows[(layer, what)][: self.length]
