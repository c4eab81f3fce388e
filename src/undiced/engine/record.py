"""The sampling record as numpy's structured type: `core.sampling.RECORD`, laid out as C lays out a struct."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from undiced.core.sampling import NO_MASK, NO_TARGET, RECORD
from undiced.engine.row import OFFSETS as OFFSETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLING = np.dtype([(field.name, field.kind) for field in RECORD], align=True)


def greedy(slots: NDArray[np.int32]) -> NDArray[np.void]:
    """Records that draw the likeliest token for each slot, without penalties and log-probabilities; (R,)."""
    rows = np.zeros(len(slots), SAMPLING)
    rows["slot"], rows["top_p"], rows["repetition_penalty"] = slots, 1, 1
    rows["top_logprobs"], rows["target"], rows["mask"] = -1, NO_TARGET, NO_MASK
    return rows
