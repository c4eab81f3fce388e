"""How many connections the limit of the process's open files leaves room for. Knows no connection."""

from __future__ import annotations

import resource

TURNED_AWAY = 64  # connections over the limit that are told so; more are dropped
_BESIDE = 128  # open files that are no connections, those of the management API among them


def affordable(connections: int) -> int:
    """Connections that the process may have, after it raised its own limit of open files as far as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + TURNED_AWAY + _BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = connections if soft == resource.RLIM_INFINITY else soft - TURNED_AWAY - _BESIDE
    return max(1, min(connections, room))
