"""Bounded JSON documents: size, nesting and repeated keys are checked. Knows nothing of what they say."""

from __future__ import annotations

import json
from pathlib import Path

from undiced.checkpoint.mapping import MappedFile
from undiced.core.errors import CheckpointError

MAX_JSON_BYTES = 16 << 20  # ours: the largest index seen is about 9 MB
REMEDY = "The file is damaged or not what its name says; download it again."


def read_object(path: Path) -> tuple[dict[str, object], bytes]:
    """The JSON object in a file, and the file's bytes. Raises CheckpointError for anything else."""
    file = MappedFile(path)
    try:
        if file.size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path.name} has {file.size} bytes; {MAX_JSON_BYTES} are allowed.", remedy=REMEDY)
        data = bytes(file.view(0, file.size))
    finally:
        file.close()
    return parse_object(data, path.name), data


def parse_object(data: bytes, what: str) -> dict[str, object]:
    """Parse a JSON object in UTF-8. Raises CheckpointError naming `what`."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError as error:
        raise CheckpointError(f"{what} is nested too deeply.", remedy=REMEDY) from error
    except ValueError as error:  # syntax, encoding, repeated keys, numbers of thousands of digits
        raise CheckpointError(f"{what} is not valid JSON: {str(error)[:200]}.", remedy=REMEDY) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{what} holds no JSON object.", remedy=REMEDY)
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found
