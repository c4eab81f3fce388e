"""The command line. A composition root: it may import everything, and imports nothing heavy before a command runs.

One file a group of commands; `app.py` lists them.
"""

from __future__ import annotations

import os
import sys

from undiced.core.exits import Exit

_STANDARD = ("stdin", "stdout", "stderr")


def main() -> None:
    """Entry point of `undiced`: runs a command and ends the process with one of the statuses of `core.exits`."""
    _reserve_descriptors()
    try:
        from undiced.cli.app import run

        status = run()
    except KeyboardInterrupt:  # while modules are still imported
        status = Exit.INTERRUPTED
    _release_output()
    raise SystemExit(status)


def _reserve_descriptors() -> None:
    """Open what was closed at the start (`>&-`): a socket or a model file that got its number would be written to."""
    for number, name in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))


def _release_output() -> None:
    """Drop what nobody takes any more: at its exit Python would try again, and end with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except ValueError:  # closed
            continue
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
