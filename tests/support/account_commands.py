"""Commands of accounts as they are typed, in this process: what they print and how they end."""

from __future__ import annotations

import io
import json
import shlex
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from undiced.cli.app import run


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """Its output, as scripts read it."""
        return json.loads(self.out)


Typed = Callable[..., Said]


class Keyboard(io.StringIO):
    """An input that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def typing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str) -> Typed:
    """Types command lines; the environment names the database."""
    monkeypatch.setenv("UNDICED_DB", database)

    def typed(line: str, *, given: str = "", terminal: bool = False) -> Said:
        monkeypatch.setattr(sys, "argv", ["undiced", *shlex.split(line)])
        monkeypatch.setattr(sys, "stdin", Keyboard(given) if terminal else io.StringIO(given))
        capsys.readouterr()
        status = run()
        shown = capsys.readouterr()
        return Said(status, shown.out, shown.err)

    return typed


def rows(place: Path) -> list[str]:
    """Everything in a database, to see that nothing changed."""
    with closing(sqlite3.connect(place)) as database:
        return list(database.iterdump())
