"""The tokens of one step. Data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from undiced.sim.mesh.rounding import F32

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """The tokens of a step, one sequence after another, each sequence's in order.

    Attributes:
        tokens: ids, (T,).
        positions: of each in its sequence, (T,).
        sequences: whose it is, (T,).
        lengths: positions that its sequence has once the step is done, (T,).
        rows: of a prompt that lies over cores: its tokens' rows (tokens, dim) of each matrix that the host keeps.
    """

    tokens: Ints
    positions: Ints
    sequences: Ints
    lengths: Ints
    rows: Mapping[str, F32] | None = None

    @property
    def size(self) -> int:
        """Tokens."""
        return len(self.tokens)

    @property
    def filled(self) -> int:
        """Positions of the longest sequence once the step is done."""
        return int(self.lengths.max())

    @property
    def ends(self) -> Ints:
        """Where each sequence's last token is."""
        return np.array([span.stop - 1 for _, span in self.spans()], dtype=np.int64)

    def at(self, tokens: Ints) -> Batch:
        """The batch of some of the tokens, whose sequences are as long as they are."""
        return Batch(self.tokens[tokens], self.positions[tokens], self.sequences[tokens], self.lengths[tokens])

    def spans(self) -> list[tuple[int, slice]]:
        """Each sequence and where its tokens are."""
        edges = [0, *(np.flatnonzero(np.diff(self.sequences)) + 1), self.size]
        return [(int(self.sequences[a]), slice(int(a), int(b))) for a, b in pairwise(edges)]
