"""What somebody types into a conversation: messages of one line or several, edited on a terminal, with a history that
outlasts the session. Knows keys and lines, not what they say.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import ModuleType

import typer

from undiced.cli.terminal import INPUT_CHARACTERS, typed
from undiced.core.errors import InvalidRequestError

FENCE = '"""'  # around a message of several lines
_HISTORY_LINES = 1000


class Typing:
    """Messages, one after another. On a terminal Ctrl-C drops what is typed, and Ctrl-D ends."""

    def __init__(self, *, by_lines: bool = False) -> None:
        """by_lines: every line is a message, for programs."""
        self._by_lines = by_lines
        self._editor = _editor() if sys.stdin.isatty() and sys.stdout.isatty() else None
        self._history = _history_file() if self._editor is not None else None
        self._warned = False

    def message(self) -> str | None:
        """The next one that is not empty; None at the end, also by a second Ctrl-C on empty lines.

        Raises:
            InvalidRequestError: there is more than one message can be.
        """
        while True:
            try:
                text = self._message().strip()
            except EOFError:
                return None
            except KeyboardInterrupt:
                if self._leaves():
                    return None
                continue
            self._warned = False
            if text:
                return text

    def _message(self) -> str:
        text = self._line("\n> ")
        if self._by_lines:
            return text
        fenced = text.strip().startswith(FENCE)
        if fenced:
            text = text.strip().removeprefix(FENCE)
        with contextlib.suppress(EOFError):  # the end of the input ends a message, too
            while not text.rstrip().endswith(FENCE) if fenced else text.endswith("\\"):
                text = (text if fenced else text[:-1]) + "\n" + self._line("... ")
                _bound(text)
        return text.rstrip().removesuffix(FENCE) if fenced else text

    def _line(self, prompt: str) -> str:
        if self._editor is None:
            if sys.stdin.isatty():
                typer.echo(prompt, nl=False, err=True)
            if not (line := typed(line=True)):
                raise EOFError
            return line.removesuffix("\n")
        line = input(prompt)
        _remember(self._editor, self._history, line)
        return line

    def _leaves(self) -> bool:
        """Whether Ctrl-C ends it all; the first one on an empty line only says how to leave."""
        typer.echo(err=True)
        if self._editor is None or self._editor.get_line_buffer():
            return self._editor is None
        if not self._warned:
            typer.echo("Ctrl-D or /exit leaves.", err=True)
        leaves, self._warned = self._warned, True
        return leaves


def _bound(text: str) -> None:
    if len(text) > INPUT_CHARACTERS:
        raise InvalidRequestError(
            f"The message has more than {INPUT_CHARACTERS} characters.", remedy="Give a shorter one."
        )


def _editor() -> ModuleType | None:
    try:
        import readline
    except ImportError:  # a Python without it: plain lines
        return None
    readline.set_history_length(_HISTORY_LINES)
    return readline


def _history_file() -> Path | None:
    """Where lines of earlier sessions are, now read; only its owner can read it. None where there can be none."""
    import readline

    from platformdirs import user_state_path

    path = user_state_path("undiced", appauthor=False) / "chat_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        readline.read_history_file(path)
    except OSError:
        return None
    return path


def _remember(editor: ModuleType, path: Path | None, line: str) -> None:
    if path is not None and line.strip():
        with contextlib.suppress(OSError):  # a full disk ends no conversation
            editor.append_history_file(1, path)
