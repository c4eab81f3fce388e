"""What newcomers type and what has to come of it, as plain text, and how it is carried out.

    == server             the terminal in which they type from here on
    $ undiced generate    a command; lines of `> ` go on with it. `$ ^C` is a key for what runs there
      status 1            its exit status, if not 0
      within 60 s         if not 30
      shows TEXT          a pattern; something like it is on the screen at the end
      never TEXT          a pattern; nothing like it is
      at TEXT type LINE   a line typed once TEXT is shown
      stays at TEXT       it goes on running, and is ready once TEXT is shown
      wide                lines may be longer than the terminal: data, or others' output

Nothing shown may be a traceback, or wider than the terminal. The ports 8000 and 8001 stand for free ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from support.screen import seen
from support.shell import COLUMNS, Shell

WRONG = (r"Traceback", r"\bobject at 0x", r"site-packages", r"\bnan\b", r"\[Errno", r"This is a bug", r"\x1b|\[\d+m")
_PATTERNS = {"shows", "never"}


@dataclass(slots=True)
class Step:
    """A command and its expectations."""

    terminal: str
    command: str
    status: int = 0
    within_s: float = 30
    shows: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    types: list[tuple[str, str]] = field(default_factory=list)
    stays_at: str = ""
    wide: bool = False

    def expect(self, line: str) -> None:
        """Take one line of expectation."""
        word, _, rest = line.partition(" ")
        if word in _PATTERNS:
            getattr(self, word).append(rest)
        elif word == "status":
            self.status = int(rest)
        elif word == "within":
            self.within_s = float(rest.removesuffix(" s"))
        elif word == "at":
            pattern, _, typed = rest.partition(" type ")
            self.types.append((pattern, typed))
        elif word == "stays":
            self.stays_at = rest.removeprefix("at ")
        elif line == "wide":
            self.wide = True
        else:
            raise ValueError(f"no expectation: {line!r}")


def read(text: str) -> list[Step]:
    """The steps of a file."""
    steps: list[Step] = []
    terminal = "terminal"
    for line in text.splitlines():
        if line.startswith("== "):
            terminal = line[3:]
        elif line.startswith("$ "):
            steps.append(Step(terminal, line[2:]))
        elif line.startswith("> "):
            steps[-1].command += "\n" + line[2:]
        elif line.startswith("  "):
            steps[-1].expect(line.strip())
        elif line and not line.startswith("#"):
            raise ValueError(f"neither a command nor an expectation: {line!r}")
    return steps


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a step."""

    step: Step
    status: int | None
    took_s: float
    screen: str

    def faults(self) -> Iterator[str]:
        """What is not as expected."""
        step = self.step
        if self.status is None:
            yield f"not done within {step.within_s:g} s"
        elif not step.stays_at and self.status != step.status:
            yield f"status {self.status} and not {step.status}"
        words = " ".join(self.screen.split())  # a line's end is no word's
        yield from (f"does not show {text!r}" for text in step.shows if not re.search(text, f"{self.screen}\n{words}"))
        yield from (f"shows {text!r}" for text in (*WRONG, *step.never) if re.search(text, self.screen))
        widest = max(map(len, self.screen.splitlines()), default=0)
        if widest > COLUMNS and not step.wide:
            yield f"{widest} columns wide"

    def transcript(self) -> str:
        """The step as it looked, with what is wrong with it."""
        typed = self.step.command.replace("\n", "\n> ")
        told = "".join(f"\n!!! {fault}" for fault in self.faults())
        return f"[{self.step.terminal}] $ {typed}\n{self.screen}\n--- {self.status} after {self.took_s:.1f} s{told}\n\n"


def carry_out(
    steps: list[Step],
    folder: Path,
    environment: Mapping[str, str],
    ports: Mapping[str, str],
    tell: Callable[[Done], None],
) -> list[Done]:
    """Type all steps in their order, each in its terminal; those are opened in a folder.

    Args:
        ports: as the steps say them, and as they are.
    """
    with ExitStack() as open_terminals:
        shells: dict[str, Shell] = {}
        done = []
        for step in steps:
            if step.terminal not in shells:
                shells[step.terminal] = open_terminals.enter_context(Shell(folder, environment))
            done.append(_type(step, shells[step.terminal], ports))
            tell(done[-1])
    return done


def _type(step: Step, shell: Shell, ports: Mapping[str, str]) -> Done:
    began, typed_line = time.monotonic(), step.command
    for said, port in ports.items():
        typed_line = typed_line.replace(said, port)
    shell.command(typed_line)
    for pattern, typed in step.types:
        if not shell.shows(pattern, step.within_s):
            break
        shell.type(typed)
    if step.stays_at:
        status = 0 if shell.shows(step.stays_at, step.within_s) else None
    elif (status := shell.status(step.within_s)) is None:
        shell.type("^C")
        shell.status(5)
    screen = seen(shell.shown()).strip("\n")
    for said, port in ports.items():
        screen = screen.replace(port, said)
    return Done(step, status, time.monotonic() - began, screen)
