"""What commands share about terminals: progress of slow things, JSON lines, sizes for people. Imports rich only when
used.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import textwrap
import time
from functools import partial
from typing import TYPE_CHECKING

import typer

from undiced.core.errors import InvalidRequestError, UndicedError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

    from rich.console import Console
    from rich.progress import Progress, TaskID

USAGE = "usage"  # the code of every wrong command line
_PATIENCE_S = 0.5  # what is over sooner needs no bar
_PLAIN_EVERY_S = 5.0
TABLE_WIDTH = 120  # columns of a table that goes into a file or a pipe
INPUT_CHARACTERS = 4 << 20  # ours: what a body of a request may have
_CONTROLS = re.compile("[\x7f-\x9f]")


def colored() -> bool:
    """Whether people want colors, and lines that change: NO_COLOR and TERM=dumb say no."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Bar:
    """Progress on the error stream: a bar on a terminal, now and then a line elsewhere. Nothing for what is over at
    once.

    Use as a context manager and pass it, or `bar.share`, as a progress callback.
    """

    def __init__(self, what: str, *, then: str = "", quiet: bool = False) -> None:
        """what: shown beside the bar. then: shown once a second phase begins, that is, when progress falls back."""
        self._what, self._then, self._quiet = printable(what), then, quiet
        self._began_s = self._told_s = time.perf_counter()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._done = 0.0

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take it away for good, before something else is shown: a bar would keep what is no whole line."""
        progress, self._progress, self._quiet = self._progress, None, True
        if progress is not None:
            with contextlib.suppress(OSError, ValueError):
                progress.stop()

    def __call__(self, done: float, total: float) -> None:
        """Bytes done, bytes in all."""
        self.share(done / max(1, total), "")

    def share(self, share: float, what: str) -> None:
        """Share done from 0 to 1, and what is being done (nothing keeps the words of before)."""
        if share < self._done and self._then:
            what = what or self._then
        self._what, self._done = printable(what) or self._what, share
        try:
            self._show(time.perf_counter())
        except (OSError, ValueError):  # the terminal has gone; what it would have shown goes on
            self._quiet = True

    def _show(self, now: float) -> None:
        if self._quiet or now - self._began_s < _PATIENCE_S:
            return
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            self._plain(now)
            return
        if self._progress is None:
            self._open()
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._done, description=self._what)

    def _plain(self, now: float) -> None:
        if now - self._told_s >= _PLAIN_EVERY_S:
            self._told_s = now
            typer.echo(f"{self._what}: {self._done:.0%}", err=True)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._progress.start()
        self._task = self._progress.add_task(self._what, total=1.0)


def table_console(width: int = TABLE_WIDTH, *, markup: bool = True, highlight: bool = True) -> Console:
    """Prints tables: as wide as the terminal, or `width` columns where none says how many."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width, markup=markup, highlight=highlight)


def loading(model: str, *, place: str = "", quiet: bool = False) -> Bar:
    """The bar of a model that is fetched if need be, and then packed. place: which of several it is, as in 1/2."""
    from undiced.checkpoint import to_fetch

    if name := to_fetch(model):
        return Bar(f"Fetching {name}" + (f" ({place})" if place else ""), then="Packing weights", quiet=quiet)
    return Bar("Packing weights", quiet=quiet)


def typed(*, line: bool = False) -> str:
    """What stands on the input, whole or its next line; "" at its end. It is bounded as a request to the server is.

    Raises:
        InvalidRequestError: there is more than one prompt can be.
    """
    text = sys.stdin.readline(INPUT_CHARACTERS + 1) if line else sys.stdin.read(INPUT_CHARACTERS + 1)
    if len(text) > INPUT_CHARACTERS:
        raise InvalidRequestError(
            f"The input has more than {INPUT_CHARACTERS} characters.", remedy="Give a shorter text."
        )
    return text


def folded(text: str, stream: TextIO) -> str:
    """Text with its lines broken between words where a terminal shows it; what is no terminal gets it as it is."""
    if not stream.isatty():
        return text
    columns = shutil.get_terminal_size().columns
    fold = partial(textwrap.fill, width=columns, break_long_words=False, break_on_hyphens=False)
    return "\n".join(fold(line) if len(line) > columns else line for line in text.split("\n"))


def emit(value: object) -> None:
    """One line of JSON on the output; control characters are escaped, those that JSON would let pass too."""
    import msgspec

    line = msgspec.json.encode(value).decode()
    typer.echo(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line))


def code_of(error: UndicedError) -> str:
    """The code of an error for scripts: what the API calls a wrong request is a wrong command line here."""
    return USAGE if error.code == InvalidRequestError.code else error.code


def error_object(code: str, message: str, remedy: str) -> dict[str, object]:
    """An error as scripts read it."""
    return {"error": {"code": code, "message": message, "remedy": remedy}}


def counted(count: int, thing: str) -> str:
    """A number of things: 1 thread, 2 threads."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def megabytes(count: float) -> str:
    """A size for people."""
    return f"{count / 1e6:,.0f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"
