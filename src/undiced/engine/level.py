"""Which instruction set level the native engine uses: what is asked for, else $UNDICED_ISA, else the best there is."""

from __future__ import annotations

import os

from undiced import _native
from undiced.core.errors import UnsupportedError
from undiced.core.quote import quoted

LEVELS = ("portable", "avx2", "avx512", "neon")
VARIABLE = "UNDICED_ISA"


def level(asked: str = "") -> str:
    """One of LEVELS that this processor can run.

    Raises:
        UnsupportedError: it can't, or there is none of that name.
    """
    name = asked or os.environ.get(VARIABLE, "") or _native.isa_detect()
    there = [each for each in LEVELS if _native.isa_supported(each)]
    if name not in there:
        where = "" if asked else f"{VARIABLE}: "
        raise UnsupportedError(
            f"{where}this processor does not run the instruction set level {quoted(name)}.",
            remedy=f"It runs {', '.join(there)}; the best of them is used unless one is named.",
        )
    return name
