"""Progress of what has no known end, on the error stream: how far it is, on one line of a terminal or now and then."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType

import typer

from undiced.core.printable import printable

_PATIENCE_S, _LIVE_EVERY_S, _PLAIN_EVERY_S = 1.0, 0.2, 5.0


class Ticking:
    """Use as a context manager, and tell it how far things are as often as you like."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet, self._shown = quiet, 0
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        now = time.perf_counter()
        self._next_s = now + (_PATIENCE_S if self._live else _PLAIN_EVERY_S)

    def __enter__(self) -> Ticking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._write("\r" + " " * self._shown + "\r")

    def __call__(self, how_far: str) -> None:
        """Shows this, if it is time to show something."""
        now = time.perf_counter()
        if self._quiet or now < self._next_s:
            return
        self._next_s = now + (_LIVE_EVERY_S if self._live else _PLAIN_EVERY_S)
        words = printable(how_far)
        if not self._live:
            self._write(f"{words}\n")
            return
        self._write("\r" + words.ljust(self._shown))
        self._shown = len(words)

    def _write(self, text: str) -> None:
        try:
            typer.echo(text, err=True, nl=False)
        except (OSError, ValueError):  # the terminal has gone; what it would have shown goes on
            self._quiet = True
