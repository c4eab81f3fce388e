"""`--config FILE`: options of a command from a TOML file. Its keys are the long options without their dashes in front.

The command line goes before the environment, that before the file, and the file before the defaults. Knows the kinds of
values; what an option takes is the parser's to say.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Protocol, cast, runtime_checkable

import typer

from undiced.core.errors import InvalidRequestError

_MOST_BYTES = 1 << 20
_NOT_HERE = frozenset(("config", "help"))
_KEYS = "Keys are the long options of the command without their dashes, as in max-context, and model."


class Parameter(Protocol):
    """An option or an argument, as the parser knows it."""

    name: str
    opts: list[str]
    multiple: bool

    def process_value(self, ctx: typer.Context, value: object) -> object:
        """The value as the command gets it; raises what the parser shows for a wrong one."""


@runtime_checkable
class _Refused(Protocol):
    """What the parser raises for a wrong value."""

    def format_message(self) -> str: ...


def _read(given: typer.Context, path: Path | None) -> Path | None:
    """Let what the file says be the defaults of the command that is being parsed."""
    if path is None or given.resilient_parsing:
        return path
    known = _parameters(cast("Sequence[Parameter]", given.command.params))
    found: dict[str, object] = {}
    for key, value in _table(path).items():
        if key not in known:
            near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InvalidRequestError(f"{path}: there is no option {key[:40]!r}.{hint}", remedy=_KEYS)
        found[known[key].name] = _checked(given, path, known[key], key, value)
    given.default_map = found
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        is_eager=True,
        callback=_read,
        help="A TOML file with options, as in max-context = 4096; command line and environment go before it.",
    ),
]


def _parameters(all_: Sequence[Parameter]) -> dict[str, Parameter]:
    """By their keys: an option's long names, an argument's only one."""
    keys = {name.removeprefix("--"): each for each in all_ for name in each.opts if name[:2] == "--" or name[:1] != "-"}
    return {key: each for key, each in keys.items() if key not in _NOT_HERE}


def _table(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError as error:
        remedy = "Name another file with --config."
        raise InvalidRequestError(f"Cannot read {path}: {error.strerror}.", remedy=remedy) from None
    try:
        return tomllib.loads(data.decode())
    except ValueError as error:  # syntax, and encoding
        raise InvalidRequestError(f"{path} is no TOML: {error}.", remedy=_KEYS) from None


def _checked(given: typer.Context, path: Path, parameter: Parameter, key: str, value: object) -> object:
    """The value in the parser's words, after the parser has taken it.

    Raises:
        InvalidRequestError: it is of another kind, or outside what the option takes.
    """
    switch = bool(getattr(parameter, "is_flag", False))
    values = value if isinstance(value, list) and parameter.multiple else [value]
    if not all(isinstance(each, bool) if switch else _is_word(each) for each in values):
        kind = "true or false" if switch else "a list of texts" if parameter.multiple else "a text or a number"
        raise InvalidRequestError(f"{path}: {key} has another kind of value.", remedy=f"Give {kind}.")
    words = value if switch else [str(each) for each in values] if parameter.multiple else str(value)
    try:
        parameter.process_value(given, words)
    except Exception as error:
        if not isinstance(error, _Refused):
            raise
        raise InvalidRequestError(
            f"{path}: {error.format_message().rstrip('.')}.", remedy="Mend it in the file."
        ) from None
    return words


def _is_word(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
