"""Exit statuses of all commands, in one place: scripts and supervisors rely on them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a process of ours ended."""

    OK = 0
    ERROR = 1  # an error that says what to do
    USAGE = 2  # a wrong command line
    ENGINE_LOST = 69  # the engine can't be brought back; EX_UNAVAILABLE of sysexits.h
    BUG = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # what shells report of SIGINT
    UNREAD = 141  # what shells report of SIGPIPE: whoever read the output has gone
    TERMINATED = 143  # what shells report of SIGTERM
