"""The names of a GGUF model's parts, where it was split into several files: `NAME-00001-of-00003.gguf` and so on.

Pure: looks at names alone. Source: gguf-split of llama.cpp.
"""

from __future__ import annotations

import re

MAX_PARTS = 999  # ours: the largest models come in about 50
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.ASCII | re.DOTALL)


def part_names(name: str) -> tuple[str, ...]:
    """The names of all parts of the model that a file belongs to, in order; its own name alone if it is no part."""
    match = _PART.fullmatch(name)
    if match is None or not 1 <= int(match[2]) <= int(match[3]) <= MAX_PARTS:
        return (name,)
    return tuple(f"{match[1]}-{part:05}-of-{match[3]}.gguf" for part in range(1, int(match[3]) + 1))
