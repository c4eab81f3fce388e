"""Words of the wafer commands' options, parsed. Knows no mapping and no machine."""

from __future__ import annotations

import re
from typing import cast

from undiced.core.errors import CompileError, InvalidRequestError
from undiced.core.mapping import Phase, Region, require_choice
from undiced.core.option import option

_AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)([kMG]?)")
_SCALES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_CLOCK_MIN_GHZ, _CLOCK_MAX_GHZ = 0.001, 100.0


def parse_region(text: str) -> Region:
    """`WxH` (x by y) or `auto`.

    Raises:
        CompileError: anything else.
    """
    if text == "auto":
        return "auto"
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and len(text) <= 16 and int(width) and int(height)):
        raise CompileError(f"{text[:40]!r} is no region.", remedy="Use WxH, for example 256x256, or auto.")
    return int(width), int(height)


def parse_stages(text: str) -> tuple[int, ...]:
    """`2,4,4,2`: layers of each region.

    Raises:
        CompileError: anything but positive numbers.
    """
    parts = text.split(",")
    if len(parts) > 4096 or not all(p.isdecimal() and len(p) <= 6 and int(p) for p in parts):
        raise CompileError(f"{text[:40]!r} are no stages.", remedy="Use positive numbers, for example 2,4,4,2.")
    return tuple(map(int, parts))


def parse_range(name: str, text: str) -> tuple[float, float]:
    """`2.5M`, or a range `2M-3M`; k, M and G are thousands, millions and billions.

    Raises:
        InvalidRequestError: anything else.
    """
    low, dash, high = text.strip().partition("-")
    ends = [_AMOUNT.fullmatch(part.strip()) for part in ((low, high) if dash else (low,))]
    if not all(ends):
        raise InvalidRequestError(
            f"{option(name, text[:40])} is no amount.", remedy="Use a number as 2.5M, or a range as 2M-3M."
        )
    found = [float(end[1]) * _SCALES[end[2]] for end in ends if end is not None]
    return found[0], found[-1]


def parse_phase(text: str) -> Phase:
    """`decode` or `prefill`.

    Raises:
        CompileError: anything else.
    """
    require_choice(text, Phase, f"There is no phase called {text[:40]!r}.")
    return cast(Phase, text)


def parse_clock(clock_ghz: float | None) -> float | None:
    """GHz to Hz, bounded.

    Raises:
        CompileError: a clock that no machine has.
    """
    if clock_ghz is None:
        return None
    if not _CLOCK_MIN_GHZ <= clock_ghz <= _CLOCK_MAX_GHZ:
        raise CompileError(
            f"A clock of {clock_ghz:g} GHz is out of range.", remedy=f"Use {_CLOCK_MIN_GHZ:g} to {_CLOCK_MAX_GHZ:g}."
        )
    return clock_ghz * 1e9
