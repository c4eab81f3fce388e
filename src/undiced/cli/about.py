"""`undiced help` and `undiced version`: what the program says of itself."""

from __future__ import annotations

from typing import Annotated

import typer

from undiced.cli.options import Json

_NAME = "undiced"


def show_help(
    given: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(help="One of the commands.", metavar="COMMAND")] = None,
) -> None:
    """Show what a command does, its options and examples."""
    root = given.find_root().command
    root.main(args=[*(command or ()), "--help"], prog_name=_NAME, standalone_mode=False)


def show_version(as_json: Json = False) -> None:
    """Show the version."""
    from undiced import __version__
    from undiced.cli.terminal import emit

    emit({"version": __version__}) if as_json else typer.echo(f"{_NAME} {__version__}")
