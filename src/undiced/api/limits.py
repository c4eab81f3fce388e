"""Ranges of the numbers in a request, as data. Those of sampling are the rows of `core.sampling`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError
from undiced.core.sampling import SEED_BITS, TOP_LOGPROBS_MAX, WIRE_RANGES, Range

if TYPE_CHECKING:
    from undiced.api.schemas import Body

_INT32 = 2**31 - 1
_EXACT = 2**53
WHOLE = frozenset(
    ("n", "best_of", "top_k", "seed", "logprobs", "top_logprobs", "max_tokens", "max_completion_tokens", "min_tokens")
) | {"min_completion_tokens", "max_output_tokens", "reasoning_max_tokens", "thinking_budget", "thinking_token_budget"}

# The closed range of each number.
RANGES: dict[str, Range] = {
    **WIRE_RANGES,
    "max_tokens": Range(-1, _INT32),  # -1: up to the context
    "max_completion_tokens": Range(-1, _INT32),
    "max_output_tokens": Range(-1, _INT32),
    "min_tokens": Range(-1, _INT32),
    "min_completion_tokens": Range(-1, _INT32),
    "reasoning_max_tokens": Range(-1, _INT32),  # -1: no limit
    "thinking_budget": Range(-1, _INT32),
    "thinking_token_budget": Range(-1, _INT32),
    "seed": Range(-(2**63), 2**SEED_BITS - 1),
    "top_logprobs": Range(0, TOP_LOGPROBS_MAX),
}


def in_range(name: str, value: float, allowed: Range) -> None:
    """Refuse a number outside its range; NaN is outside every range.

    Raises:
        InvalidRequestError: with `param` set to the field.
    """
    if value not in allowed:
        low, high = (str(bound).removesuffix(".0") for bound in (allowed.low, allowed.high))
        raise InvalidRequestError(f"{name} must be between {low} and {high}, got {str(value)[:24]}.", param=name)


def check_numbers(wire: Body) -> None:
    """Check every number of a request that has a fixed range, and make integers of whole numbers such as 8.0."""
    for name in wire.__struct_fields__:
        value = getattr(wire, name)
        if name in WHOLE and value is not None and not isinstance(value, bool):
            value = whole(name, value)
            setattr(wire, name, value)
        if value is not None and name in RANGES:
            in_range(name, value, RANGES[name])


def whole(name: str, value: float) -> int:
    """A number that must be whole, as an integer.

    Raises:
        InvalidRequestError: it has a fraction, or is a decimal beyond 2**53, where they are not exact.
    """
    if isinstance(value, float) and not (value.is_integer() and abs(value) <= _EXACT):
        raise InvalidRequestError(f"{name} must be an integer, got {str(value)[:24]}.", param=name)
    return int(value)
