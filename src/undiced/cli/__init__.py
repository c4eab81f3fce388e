"""The command line. A composition root: it may import everything, and imports nothing heavy before a command runs.

One file a group of commands; `app.py` lists them.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of `undiced`: runs a command and ends the process with its exit status.

    0 is success, 1 an error that says what to do, 2 a wrong command line, 70 a bug, 130 an interruption.
    """
    try:
        from undiced.cli.app import run

        status = run()
    except KeyboardInterrupt:  # while modules are still imported
        status = 130
    raise SystemExit(status)
