"""Beside: a call that is made on a thread of its own while its caller does something else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Beside(Generic[T]):
    """One call. What it raises, `result` raises."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="beside", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._call())
        except BaseException as error:  # whoever asks for the result shall see it
            self._error = error

    def wait(self) -> None:
        """Until it has ended, however."""
        self._thread.join()

    def result(self) -> T:
        """What the call returned, once it has."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._found[0]
