"""A limit on the time and the memory that one hostile input may take."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 5.0
_BUSY = 4.0  # a shared machine may run this much slower


class TooSlowError(BaseException):
    """Not an Exception, so that no reader catches it."""


@contextmanager
def within(what: str, more_bytes: int, seconds: float = SECONDS) -> Iterator[None]:
    """Fails with `what` if the block computes for longer than `seconds` or takes `more_bytes` of memory.

    Processor time counts, not the clock on the wall: other work on the machine does not make a reader slow. A block
    that sleeps or waits is caught by the wall's clock, later.
    """

    def late(signum: int, frame: object) -> None:
        raise TooSlowError(f"{what}: over {seconds:g} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handlers = {s: signal.signal(s, late) for s in (signal.SIGVTALRM, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, _BUSY * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown <= more_bytes, f"{what}: {grown >> 20} MiB more"
