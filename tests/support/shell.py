"""A shell on a terminal, as a person has it open: types a command, waits for the prompt, tells what was shown.

Knows nothing of what is expected. Its environment holds what it is given and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from support.pseudo_terminal import PseudoTerminal

COLUMNS = 80
_PROMPT = re.compile("\x02([0-9]+)\x03")
_SHELL = ("bash", "--norc", "--noprofile", "--noediting", "-i")
_KEYS = {"^C": "\x03", "^D": "\x04"}


class Shell:
    """bash that is ready for a command. Use as a context manager; what still runs at its end is hung up."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        given = {**environment, "PS1": "\x02$?\x03", "PS2": "", "TERM": "xterm", "HISTFILE": ""}
        words = [f"{name}={value}" for name, value in given.items()]
        self._terminal = PseudoTerminal("-i", *words, *_SHELL, program="env", folder=folder, columns=COLUMNS)
        assert self.status(10) == 0, self._terminal.shown
        self._read = len(self._terminal.shown)

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._terminal.__exit__(kind, error, trace)

    def type(self, text: str) -> None:
        """A line, with the key that ends it, or a key by its name."""
        self._terminal.type(_KEYS.get(text, text + "\n"))

    def command(self, text: str) -> None:
        """A command at the prompt; its echo counts as read."""
        self.type(text)
        echo = text.replace("\n", "\r\n")
        if text not in _KEYS and self.shows(re.escape(echo) + "\r\n", 5):
            self._read += len(echo) + 2

    def shows(self, pattern: str, within_s: float) -> bool:
        """Read on until something like that is shown."""
        return self._terminal.find(re.compile(pattern), within_s) is not None

    def status(self, within_s: float) -> int | None:
        """Read on to the next prompt; the status of the command before it, None if it still runs."""
        found = self._terminal.find(_PROMPT, within_s)
        return int(found[1]) if found else None

    def shown(self) -> str:
        """What was shown since the last time, prompts left out."""
        text, self._read = self._terminal.shown[self._read :], len(self._terminal.shown)
        return re.sub(rf"(\([^()\n]*\) )?{_PROMPT.pattern}", "", text)
