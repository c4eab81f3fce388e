"""Models that are served together have names of their own. Light to import: it is asked before a model is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def check_apart(names: Iterable[Sequence[str]]) -> None:
    """Raises InvalidRequestError: two models have a name in common."""
    seen: set[str] = set()
    for own in map(set, names):
        if shared := seen & own:
            raise InvalidRequestError(
                f"Two models are named '{min(shared)}'.",
                remedy="Name one anew with --served-model-name NAME=MODEL, or in a table [models.NAME] for --config.",
            )
        seen |= own
