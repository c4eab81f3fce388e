"""How much of requests may be in memory at once, over all connections together. Knows neither HTTP nor what is in them.

The beginning of every request is free, so that large requests that stall can't shut out small ones; the limit of
connections bounds those.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from undiced.core.errors import UnavailableError

if TYPE_CHECKING:
    from types import TracebackType

    from undiced.api.settings import Settings


class Budget:
    """The memory for requests that one server has.

    Attributes:
        used: bytes that are held now, free ones left out.
    """

    def __init__(self, settings: Settings) -> None:
        self.limit = settings.max_held_bytes
        self.free = settings.free_held_bytes
        self.used = 0

    def hold(self) -> Held:
        """An empty account of what one holder has."""
        return Held(self)


class Held:
    """What one connection or request holds; given back when it ends."""

    __slots__ = ("_budget", "_counted", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._counted = 0
        self.size = 0

    def __enter__(self) -> Held:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(UnavailableError):
            self.resize(0)

    def resize(self, size: int) -> None:
        """Hold so many bytes from now on.

        Raises:
            UnavailableError: that is more than there is; what was held before stays held.
        """
        budget = self._budget
        counted = max(0, size - budget.free)
        if counted > self._counted and budget.used + counted - self._counted > budget.limit:
            raise UnavailableError(
                "The server holds as many large requests as it has memory for.", remedy="Try again in a few seconds."
            )
        budget.used += counted - self._counted
        self._counted, self.size = counted, size
