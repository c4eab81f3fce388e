"""Money in integers: nano-dollars (or nanos of whatever currency), prices per million tokens, one division per request.

Knows no tables. A price of $0.075 per million at half rate is 37.5 nano-dollars per token, no integer; per million it
is one, so sums are exact and rounded once, half to even.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from undiced.core.errors import InvalidRequestError

NANOS = 1_000_000_000  # of a currency's unit
MILLION = 1_000_000
PERMILLE = 1000
MOST_NANOS = 1 << 62  # of an amount; sums of two still fit a signed 64-bit integer
_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


ServiceClass = Literal["default", "batch", "flex", "priority"]  # classes of service


@dataclass(frozen=True, slots=True)
class Rates:
    """Nanos per million tokens: of the prompt, of what of it was cached, and of the answer, its reasoning included; and
    the factors of the classes of service.
    """

    input: int
    cached_input: int
    output: int
    batch_permille: int = 500
    flex_permille: int = 500
    priority_permille: int = 1500

    def permille(self, service_class: ServiceClass) -> int:
        """The factor of a class of service."""
        factors = {"batch": self.batch_permille, "flex": self.flex_permille, "priority": self.priority_permille}
        return factors.get(service_class, PERMILLE)

    def charge(self, prompt: int, cached: int, output: int, permille: int = PERMILLE) -> int:
        """Nanos for so many tokens, `cached` of them among `prompt`; `permille` is the class of service's factor."""
        million = (prompt - cached) * self.input + cached * self.cached_input + output * self.output
        return half_even(million * permille, MILLION * PERMILLE)

    def worst(self, prompt: int, output: int, permille: int = PERMILLE) -> int:
        """Nanos for so many tokens, whatever of the prompt is cached."""
        return max(self.charge(prompt, cached, output, permille) for cached in (0, prompt))

    def most_output(self, nanos: int, prompt: int, permille: int = PERMILLE) -> int:
        """Tokens of an answer that an amount covers after a prompt without any cached; -1 if not even that."""
        left = nanos * MILLION * PERMILLE - prompt * max(self.input, self.cached_input) * permille
        if left < 0:
            return -1
        return MOST_NANOS if self.output * permille == 0 else left // (self.output * permille)


def see_amount(nanos: int, param: str = "amount") -> None:
    """Raises InvalidRequestError: it is not more than nothing, or more than there is room for."""
    if not 0 < nanos <= MOST_NANOS // 4:
        most = f"{MOST_NANOS // 4 // NANOS:,} of the currency's unit"
        raise InvalidRequestError("This is no amount.", remedy=f"Give more than 0, up to {most}.", param=param)


def half_even(number: int, divisor: int) -> int:
    """A division of non-negative integers, rounded; halves to the even neighbor."""
    whole, rest = divmod(number, divisor)
    twice = 2 * rest
    return whole + (twice > divisor or (twice == divisor and whole % 2 == 1))


def nanos_of(text: str, param: str) -> int:
    """What a person writes as an amount, as 0.35 or 25, in nanos.

    Raises:
        InvalidRequestError: it is negative, has over nine decimals, or is no number.
    """
    if not _AMOUNT.fullmatch(text):
        remedy = "Write it as 25 or 0.35, with up to nine decimals."
        raise InvalidRequestError(f"{param}: '{text[:40]}' is no amount.", remedy=remedy, param=param)
    return int(Decimal(text) * NANOS)


def shown(nanos: int, decimals: int = 2) -> str:
    """An amount as people read it: at least so many decimals, and all that it has."""
    whole, part = divmod(abs(nanos), NANOS)
    digits = f"{part:09d}".rstrip("0").ljust(decimals, "0")
    return f"{'-' if nanos < 0 else ''}{whole}.{digits}"


def column(amounts: Sequence[int]) -> list[str]:
    """Amounts that stand below each other: all with as many decimals as one of them needs."""
    most = max((len(shown(one).partition(".")[2]) for one in amounts), default=0)
    return [shown(one, most) for one in amounts]
