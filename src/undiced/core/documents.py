"""Bounded JSON documents: size, nesting, repeated keys and text are checked. Knows nothing of what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

from undiced.core.errors import CheckpointError
from undiced.core.opening import read_file, read_if_there
from undiced.core.quote import file_name

MAX_JSON_BYTES = 16 << 20  # ours: the largest index seen is about 9 MB
MAX_DEPTH = 64  # ours: configurations nest about 5 deep
REMEDY = "The file is damaged or not what its name says; download it again."
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_object(path: Path) -> tuple[dict[str, object], bytes]:
    """The JSON object in a file, and the file's bytes. Raises CheckpointError for anything else."""
    data = read_file(path, MAX_JSON_BYTES)
    return parse_object(data, file_name(path)), data


def read_object_if_there(path: Path) -> dict[str, object]:
    """The JSON object in a file; empty if there is no such file."""
    data = read_if_there(path, MAX_JSON_BYTES)
    return {} if data is None else parse_object(data, file_name(path))


def parse_object(data: bytes, what: str) -> dict[str, object]:
    """Parse a JSON object in UTF-8; a byte order mark before it is skipped. Raises CheckpointError naming `what`."""
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
        _check(value, surrogates=_SURROGATE.search(data) is not None)
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


def _check(value: object, surrogates: bool) -> None:
    """Level by level, so that no depth can exhaust the stack; whoever walks the value later may recurse."""
    level = [value]
    for _ in range(MAX_DEPTH):
        if surrogates:
            _check_text(level)
        level = [item for node in level if isinstance(node, (dict, list)) for item in _items(node, surrogates)]
        if not level:
            return
    raise RecursionError


def _items(node: dict[str, object] | list[object], surrogates: bool) -> list[object]:
    values = list(node.values()) if isinstance(node, dict) else node
    if surrogates:
        return [*node, *values] if isinstance(node, dict) else values
    return [value for value in values if isinstance(value, (dict, list))]


def _check_text(level: list[object]) -> None:
    for text in level:
        if isinstance(text, str):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ValueError("half of a surrogate pair stands alone in a text") from error
