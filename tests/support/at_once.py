"""Calls that begin at one moment, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from undiced.core.errors import UndicedError


def at_once(calls: Sequence[Callable[[], object]]) -> list[object]:
    """What each call returned, or the error of ours that it raised; any other error is raised here."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        start.wait(10)
        try:
            return call()
        except UndicedError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))
