"""How much of this machine's cores other processes take meanwhile. Knows kernel counters, not what is measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)  # of a line's counts: idle, and waiting for disks
_COUNTED = 8  # user, nice, system, idle, iowait, irq, softirq, steal; guests are within user


class Bystanders:
    """Counts from its creation on."""

    def __init__(self) -> None:
        self._began_s, self._busy_s, self._own_s = time.monotonic(), _busy_s(), _own_s()

    def share(self) -> float | None:
        """Of the cores that this process may use, 0 to 1; None where the kernel does not tell."""
        now_s = _busy_s()
        if now_s is None or self._busy_s is None:
            return None
        others_s = now_s - self._busy_s - (_own_s() - self._own_s)
        return min(1.0, max(0.0, others_s / ((time.monotonic() - self._began_s) * len(_cores()))))


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _own_s() -> float:
    return sum(os.times()[:4])


def _busy_s() -> float | None:
    """Seconds that our cores have worked, for whomever."""
    names = {f"cpu{core}" for core in _cores()}
    try:
        lines = [line.split() for line in _STAT.read_text().splitlines()]
        counts = [[int(count) for count in line[1 : 1 + _COUNTED]] for line in lines if line[0] in names]
    except (OSError, ValueError, IndexError):
        return None
    busy = sum(sum(each) - sum(each[at] for at in _IDLE) for each in counts)
    return busy / os.sysconf("SC_CLK_TCK") if counts else None
