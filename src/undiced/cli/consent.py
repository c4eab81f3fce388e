"""Asks before what can't be taken back. A terminal is asked; a script has to say --yes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from undiced.cli.rows import say
from undiced.cli.terminal import folded
from undiced.core.errors import InvalidRequestError
from undiced.core.exits import Exit
from undiced.core.printable import printable

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def agree(question: str, *, yes: bool) -> None:
    """Go on if whoever sits there wants it; ends the command if not.

    Raises:
        InvalidRequestError: nobody sits there, and `yes` was not given.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidRequestError("This can't be taken back, and there is no terminal to ask.", remedy="Add --yes.")
    typer.echo(folded(printable(f"{question} [y/N]"), sys.stderr) + " ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # Ctrl-D
        typer.echo(err=True)
    if answer.strip().lower() not in ("y", "yes"):
        say("Nothing was changed.", err=True)
        raise typer.Exit(Exit.ERROR)
