"""Numbers of limits and prices as people write and read them, exactly: 500k tokens, a factor of 0.5, 25.00 USD.

Knows no option but by its name, and no record.
"""

from __future__ import annotations

import re
from decimal import Decimal

from undiced.core.errors import InvalidRequestError

_COUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([kKM]?)")
_FACTOR = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?")
_TIMES = {"": 1, "k": 1000, "K": 1000, "M": 1_000_000}
NONE = "none"


def count_of(text: str, option: str) -> int | None:
    """A number of tokens or requests, as 300, 500k or 1.5M; None for `none`.

    Raises:
        InvalidRequestError: it is no whole number.
    """
    if text == NONE:
        return None
    found = _COUNT.fullmatch(text)
    number = Decimal(found[1]) * _TIMES[found[2]] if found else Decimal("0.5")
    if number == number.to_integral_value():
        return int(number)
    remedy = f"Give one as 300, 500k or 1.5M, or {NONE} to take the limit away."
    raise InvalidRequestError(f"{option}: {text[:40]!r} is no whole number.", remedy=remedy)


def permille_of(text: str, option: str) -> int:
    """A factor, as 0.5, in thousandths.

    Raises:
        InvalidRequestError: it is none, or has more than three decimals.
    """
    if not _FACTOR.fullmatch(text):
        remedy = "Give one as 0.5 or 2, with up to three decimals."
        raise InvalidRequestError(f"{option}: {text[:40]!r} is no factor.", remedy=remedy)
    return int(Decimal(text) * 1000)


def factor(permille: int) -> str:
    """A factor for people."""
    return f"{Decimal(permille) / 1000:f}"


def money(nanos: int, currency: str | None) -> str:
    """An amount with its currency, if one is known."""
    from undiced.account.money import shown

    return f"{shown(nanos)} {currency or ''}".rstrip()


def duration(seconds: float) -> str:
    """A stretch of time for people."""
    whole = -int(-seconds // 1)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if whole >= 2 * size:
            return f"{-(-whole // size)} {unit}"
    return f"{whole} s"
