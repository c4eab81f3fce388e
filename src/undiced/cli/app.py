"""The program `undiced`, and what happens to errors: one red line with the remedy, and an exit status."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
from typing import IO, Annotated, Protocol, runtime_checkable

import typer

from undiced.cli.commands import Commands, list_in
from undiced.cli.environment import flag
from undiced.cli.terminal import USAGE, code_of, colored, emit, error_object, folded
from undiced.core.errors import ModelNotFoundError, UndicedError
from undiced.core.exits import Exit
from undiced.core.option import as_command_options
from undiced.core.printable import printable

_DEBUG = "UNDICED_DEBUG"
_NAME = "undiced"
_NOISE = "Value error, "  # what the parser puts before its own words
_NUMBER = re.compile(r"a valid (?:(int|integer)|float)(?: range)?\b")
_SPLIT = "unexpected extra argument"  # the parser's words
_QUOTES = "Words that belong together stand in quotes; a text to continue is given with --prompt."

app = typer.Typer(
    name=_NAME,
    cls=Commands,
    help="Undiced: an open wafer-scale compiler, simulator and inference engine.",
    epilog="`undiced help COMMAND` has examples. Every option can come from the environment, too: UNDICED_PORT=8001 is "
    "--port 8001.",
    no_args_is_help=True,
    rich_markup_mode=None,  # boxes cost 0.2 s and narrow the text
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
list_in(app)


def _version(wanted: bool) -> None:
    if wanted:
        from undiced import __version__

        typer.echo(f"undiced {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Undiced: an open wafer-scale compiler, simulator and inference engine."""


def run() -> int:
    """Run a command of this process's arguments; returns the exit status."""
    try:
        command = typer.main.get_command(app)
        code = command(prog_name=_NAME, standalone_mode=False, color=None if colored() else False)
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # the parser's way to say so
            return Exit.UNREAD
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except UndicedError as error:
        if os.environ.get(_DEBUG):
            raise
        return _refused(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except typer.Abort:
        return Exit.ERROR
    except OSError as error:
        if os.environ.get(_DEBUG):
            raise
        return _forbidden(error)
    except Exception as error:
        if isinstance(error, _Misuse):
            return _misused(error)
        if os.environ.get(_DEBUG):
            raise
        remedy = f"This is a bug; set {_DEBUG}=1 to see where."
        _report("internal_error", f"{type(error).__name__}: {error}", remedy)
        return Exit.BUG


def _refused(error: UndicedError) -> int:
    if isinstance(error, ModelNotFoundError) and error.ref:
        from undiced.study.runnable import without_weights

        error = without_weights(error)
    code = code_of(error)
    _report(code, as_command_options(error.message), as_command_options(error.remedy))
    return Exit.USAGE if code == USAGE else Exit.ERROR


def _forbidden(error: OSError) -> int:
    """What the system refuses; what has no name and no room is mostly the output."""
    full, named = error.errno in (errno.ENOSPC, errno.EDQUOT), f" {error.filename}" if error.filename else ""
    remedy = "Make room there." if full else "Check disk, memory and permissions."
    if full and not named:
        remedy = "Make room where the output goes, or send it elsewhere."
    _report("system", f"The system refused{named}: {error.strerror or error}.", remedy)
    return Exit.ERROR


@runtime_checkable
class _Misuse(Protocol):
    """An error of the command line itself, which the parser shows in its own way."""

    exit_code: int

    def format_message(self) -> str: ...
    def show(self, file: IO[str]) -> None: ...


def _misused(error: _Misuse) -> int:
    shown = io.StringIO()
    error.show(shown)
    said = _plain(error.format_message())
    hint = _QUOTES if _SPLIT in said else ""
    _tell("\n".join(filter(None, (_plain(shown.getvalue().rstrip()), hint))))
    _report_json(USAGE, said, hint or "Add --help to see the options.")
    return error.exit_code


def _plain(said: str) -> str:
    """What the parser says, in plain words."""
    return _NUMBER.sub(lambda found: "a whole number" if found[1] else "a number", said.replace(_NOISE, ""))


def _report_json(code: str, message: str, remedy: str) -> None:
    if "--json" in sys.argv or flag("JSON"):
        with contextlib.suppress(OSError, ValueError):  # nobody listens there any more; the status still tells
            emit(error_object(code, printable(message), printable(remedy)))


def _report(code: str, message: str, remedy: str) -> None:
    """One red line on the error stream; with --json, an object on the output."""
    _report_json(code, message, remedy)
    _tell(f"error: {' '.join(f'{message} {remedy}'.split())}", fg="red")


def _tell(text: str, fg: str = "") -> None:
    shown = folded(printable(text), sys.stderr)
    with contextlib.suppress(OSError, ValueError):
        typer.echo(typer.style(shown, fg=fg) if fg and colored() else shown, err=True)
