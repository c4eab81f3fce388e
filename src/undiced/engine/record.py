"""The sampling record as numpy's structured type: `core.sampling.RECORD`, laid out as C lays out a struct."""

from __future__ import annotations

import numpy as np

from undiced.core.sampling import RECORD

SAMPLING = np.dtype([(field.name, field.kind) for field in RECORD], align=True)
OFFSETS = {name: entry[1] for name, entry in (SAMPLING.fields or {}).items()}  # bytes from the record's beginning
