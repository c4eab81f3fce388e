"""How an answer is shown while it streams: as it is, wrapped at words, or its Markdown rendered. Knows text and widths.

Rich is imported once an answer is rendered.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING, Protocol

import typer

from undiced.cli.terminal import colored
from undiced.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

_COLUMNS_MAX = 100  # longer lines are hard to read
_EVERY_S = 0.08
_FENCE = re.compile(r" {0,3}(```|~~~)")


class Shown(Protocol):
    """An answer on its way to whoever reads it."""

    def write(self, piece: str) -> None:
        """What comes next."""

    def end(self) -> None:
        """That was all, or it was stopped."""


@contextlib.contextmanager
def showing(*, silent: bool = False, markdown: bool = True) -> Iterator[Callable[[str], None]]:
    """Takes the pieces of an answer and shows them to people, unless it is silent."""
    if silent:
        yield lambda piece: None
        return
    shown = _suited(markdown)
    try:
        yield shown.write
    finally:
        shown.end()


@contextlib.contextmanager
def thinking(*, silent: bool = False) -> Iterator[Callable[[str, str], None]]:
    """Takes the thoughts of an answer so far and what it says now; shows thoughts to people, dimmed, on the error
    stream.
    """
    if silent or not sys.stderr.isatty():
        yield lambda thought, piece: None
        return
    shown = Thought()
    try:
        yield shown.hear
    finally:
        shown.end()


class Thought:
    """The thoughts of an answer, as they come; an empty line is between them and what is said."""

    def __init__(self) -> None:
        self._known, self._open = 0, False

    def hear(self, thought: str, piece: str) -> None:
        """Print what is new of a thought. piece: what is said after it."""
        new, self._known = thought[self._known :], len(thought)
        if new:
            self._open = True
            typer.secho(printable(new), fg="bright_black", nl=False, err=True)
        if piece:
            self.end()

    def end(self) -> None:
        """Nothing more is thought now."""
        if self._open:
            typer.echo("\n", err=True)
        self._open = False


def _suited(markdown: bool) -> Shown:
    """Markdown on a terminal, words alone where it is none or where no colors are wanted, plain text in a pipe."""
    if not sys.stdout.isatty():
        return Plain()
    return Rendered() if markdown and colored() else Wrapped(_columns())


def _columns() -> int:
    return min(_COLUMNS_MAX, shutil.get_terminal_size().columns)


class Plain:
    """The text as it is; a line feed ends it."""

    def __init__(self) -> None:
        self._last = ""

    def write(self, piece: str) -> None:
        """Print it at once."""
        self._last = piece[-1:] or self._last
        typer.echo(printable(piece), nl=False)

    def end(self) -> None:
        """Begin a new line, unless one has begun or nothing was written."""
        if self._last not in ("", "\n"):
            typer.echo()


class Wrapped:
    """Lines no longer than the terminal is wide, broken between words."""

    def __init__(self, columns: int) -> None:
        self._columns, self._column, self._word = columns, 0, ""

    def write(self, piece: str) -> None:
        """Print all words that are whole."""
        for character in printable(piece):
            if character.isspace():
                self._put(self._word + character)
                self._word = ""
            else:
                self._word += character

    def end(self) -> None:
        """Print the last word, and begin a new line."""
        self._put(self._word + "\n" * bool(self._word or self._column))
        self._word = ""

    def _put(self, word: str) -> None:
        from rich.cells import cell_len

        text, after = word.rstrip(), word[len(word.rstrip()) :]
        if self._column and self._column + cell_len(text) > self._columns:
            typer.echo()
            self._column = 0
        self._column += cell_len(text)
        if after != "\n" and self._column >= self._columns:  # a blank would begin a line of its own
            after = ""
        typer.echo(text + after, nl=False)
        self._column = 0 if after == "\n" else self._column + len(after)


class Rendered:
    """Markdown: paragraphs are printed for good once they are whole, the one that grows is drawn again and again."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._console.width = _columns()
        self._growing, self._apart = "", True
        self._live: Live | None = None
        self._drawn_s = 0.0

    def write(self, piece: str) -> None:
        """Show it soon: often enough for people."""
        self._growing += printable(piece)
        whole, self._growing = whole_paragraphs(self._growing)
        self._print(whole)
        now_s = time.monotonic()
        if now_s - self._drawn_s >= _EVERY_S and self._growing.strip():
            self._drawn_s = now_s
            self._draw()

    def end(self) -> None:
        """Print what was still growing."""
        self._print([self._growing])
        self._growing = ""
        self._erase()

    def _print(self, paragraphs: list[str]) -> None:
        for paragraph in filter(str.strip, paragraphs):
            self._erase()
            self._part()
            self._console.print(_Lines(paragraph, whole=True), end="")
            self._apart = False

    def _part(self) -> None:
        """The empty line before a paragraph that is not the first."""
        if not self._apart:
            self._console.print()
            self._apart = True

    def _draw(self) -> None:
        from rich.live import Live

        if self._live is None:
            self._part()
            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(_Lines(self._growing, whole=False), refresh=True)

    def _erase(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class _Lines:
    """Markdown without empty lines around it, as much of its end as a screen holds or all of it."""

    def __init__(self, text: str, *, whole: bool) -> None:
        self._text, self._whole = text, whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.markdown import Markdown
        from rich.segment import Segment

        markdown = Markdown(self._text, code_theme="ansi_dark", hyperlinks=False)  # an address is shown, not hidden
        lines = console.render_lines(markdown, options.update(height=None), pad=False)
        while lines and not "".join(part.text for part in lines[0]).strip():
            del lines[0]
        for line in lines if self._whole else lines[-max(1, console.height - 2) :]:
            yield from line
            yield Segment.line()


def whole_paragraphs(text: str) -> tuple[list[str], str]:
    """Paragraphs, lists' items and code that nothing can change any more, and the rest.

    An empty line ends one if the next line is not indented, which would go on with a list's item; code ends at its
    fence.
    """
    found, begin, at, fenced, empty = [], 0, 0, False, False
    for line in text.splitlines(keepends=True):
        if not fenced and empty and not line[0].isspace():
            found.append(text[begin:at])
            begin = at
        fenced ^= _FENCE.match(line) is not None
        empty = not fenced and not line.strip()
        at += len(line)
    return found, text[begin:]
