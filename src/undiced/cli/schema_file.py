"""A schema from a file, as `--schema` names it. Reads and refuses; what the schema says is looked at by `grammar`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

    from undiced.params import StructuredOutputsParams

_MOST_BYTES = 1 << 20


def structured(path: Path | None) -> StructuredOutputsParams | None:
    """What answers have to look like, or None.

    Raises:
        InvalidRequestError: the file can't be read, is too large, is no JSON, or no schema that can be held to.
    """
    from undiced.params import StructuredOutputsParams

    if path is None:
        return None
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InvalidRequestError(
            f"The schema {path} can't be read: {error.strerror}.", remedy="Name a file with a JSON schema."
        ) from None
    if len(data) > _MOST_BYTES:
        raise InvalidRequestError(f"The schema {path} has over 1 MiB.", remedy="Simplify it.")
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The schema {path} is no JSON: {error}.", remedy="Correct it.") from None
    form = StructuredOutputsParams(json=schema)
    form.grammar_text()  # refused before a model is loaded
    return form
