"""Shows a key or an invitation for the only time: alone on the output, so that a shell can keep it in a variable."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from undiced.cli.rows import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.account.records import Invitation, Key
    from undiced.account.secret_text import SecretText


def show_once(
    text: SecretText, record: Key | Invitation, said: str, end: Callable[[], object], *, as_json: bool
) -> None:
    """Print a secret; `said` goes to the error stream. What can't be printed is of no use to anybody: `end` ends it.

    Raises:
        OSError: it can't be printed.
    """
    from undiced.cli.terminal import emit

    try:
        emit({**asdict(record), "secret": text.reveal()}) if as_json else typer.echo(text.reveal())
        sys.stdout.flush()
    except BaseException:
        end()
        raise
    if not as_json:
        say(f"{said} It is shown once: keep it now.", err=True)
