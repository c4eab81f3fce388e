"""Lists on the command line: `1k,4k,32k`, `fp16,int8`."""

from __future__ import annotations

import re

from undiced.core.errors import InvalidRequestError

_COUNT = re.compile(r"(\d{1,12})([kKmM]?)")
_SCALES = {"": 1, "k": 1 << 10, "m": 1 << 20}


def words(name: str, text: str) -> list[str]:
    """What stands between commas.

    Raises:
        InvalidRequestError: nothing stands somewhere.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise InvalidRequestError(
            f"--{name.replace('_', '-')} {text[:40]!r} is no list.", remedy="Separate choices with commas."
        )
    return parts


def count(name: str, text: str) -> int:
    """A whole number; 4k is 4,096.

    Raises:
        InvalidRequestError: anything else.
    """
    match = _COUNT.fullmatch(text)
    if match is None:
        option = name.replace("_", "-")
        raise InvalidRequestError(f"--{option} can't be {text[:40]!r}.", remedy="Use whole numbers, for example 1,4k.")
    return int(match[1]) * _SCALES[match[2].lower()]
