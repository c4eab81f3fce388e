"""The command line. A composition root: it may import everything, and imports nothing heavy before a command runs.

One file a group of commands; `app.py` lists them.
"""

from __future__ import annotations

from undiced.core.exits import Exit


def main() -> None:
    """Entry point of `undiced`: runs a command and ends the process with one of the statuses of `core.exits`."""
    try:
        from undiced.cli.app import run

        status = run()
    except KeyboardInterrupt:  # while modules are still imported
        status = Exit.INTERRUPTED
    raise SystemExit(status)
