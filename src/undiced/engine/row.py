"""A row of the sampling record as bytes: `core.sampling.RECORD`, laid out as C lays out a struct. `record.SAMPLING` is
the same as a type of numpy's, which not everybody wants to load.
"""

from __future__ import annotations

from struct import Struct, calcsize

from undiced.core.sampling import NO_LOGPROBS, NO_MASK, NO_TARGET, PARAMETERS, RECORD, Sampling

_LETTERS = {"i4": "i", "f4": "f", "u8": "Q"}
_FORM = "".join(_LETTERS[field.kind] for field in RECORD)
_COLDEST = 1e-6  # a lower temperature is greedy but for exact ties, and its inverse may overflow single precision
_NAMES = tuple(parameter.name for parameter in PARAMETERS)
_PLAIN = tuple(parameter.default for parameter in PARAMETERS)

ROW = Struct(f"@{_FORM}0Q")
OFFSETS = {  # bytes from the row's beginning
    field.name: calcsize(f"@{_FORM[:at]}0{_FORM[at]}") for at, field in enumerate(RECORD)
}


def row_of(slot: int, sampling: Sampling) -> bytes:
    """The row of a sequence, but for what changes from token to token."""
    values = [getattr(sampling, name) for name in _NAMES]
    if sampling.temperature < _COLDEST:
        values[_NAMES.index("temperature")] = 0.0
    return ROW.pack(slot, NO_TARGET, sampling.logprobs, 0, NO_MASK, *values, sampling.seed, 0)


def likeliest_row(slot: int) -> bytes:
    """A row that draws the likeliest token, without penalties and log-probabilities."""
    values = [0.0 if name == "temperature" else value for name, value in zip(_NAMES, _PLAIN, strict=True)]
    return ROW.pack(slot, NO_TARGET, NO_LOGPROBS, 0, NO_MASK, *values, 0, 0)
