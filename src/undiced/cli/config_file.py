"""`--config FILE`: options of a command from a TOML file. Its keys are the long options without their dashes in front;
tables hold options of one model each.

The command line goes before the environment, that before the file, and the file before the defaults. Knows the kinds of
values; what an option takes is the parser's to say.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import typer

from undiced.core.errors import InvalidRequestError

_MOST_BYTES = 1 << 20
_NOT_HERE = frozenset(("config", "help"))
_MODELS, _MODEL = "models", "model"
_META = "undiced.models"
_KEYS = "Keys are the long options of the command without their dashes, as in max-context, and model."
_TABLE_KEYS = "Keys of a table are model and the long options that one model has, as in max-context."


class Parameter(Protocol):
    """An option or an argument, as the parser knows it."""

    name: str
    opts: list[str]
    multiple: bool
    nargs: int

    def process_value(self, ctx: typer.Context, value: object) -> object:
        """The value as the command gets it; raises what the parser shows for a wrong one."""


@runtime_checkable
class _Refused(Protocol):
    """What the parser raises for a wrong value."""

    def format_message(self) -> str: ...


def config_option(of_a_table: frozenset[str]) -> object:
    """The option `--config`: what the file says are the defaults of the command that is parsed.

    of_a_table: names of the parameters that a table `[models.NAME]` may give, too; see `tables_of`.
    """

    def read(given: typer.Context, path: Path | None) -> Path | None:
        if path is not None and not given.resilient_parsing:
            _read(_File(given, path), of_a_table)
        return path

    return typer.Option(
        "--config",
        is_eager=True,
        callback=read,
        help="A TOML file with options, as in max-context = 4096; command line and environment go before it.",
    )


def tables_of(given: typer.Context) -> Mapping[str, Mapping[str, object]]:
    """The tables `[models.NAME]` of the file by their names: values by the names of their parameters, all checked."""
    tables: Mapping[str, Mapping[str, object]] = given.meta.get(_META, {})
    return tables


@dataclass(frozen=True, slots=True)
class _File:
    """A file, and the command line whose defaults it gives."""

    given: typer.Context
    path: Path

    def known(self) -> dict[str, Parameter]:
        """The parameters by their keys: an option's long names, an argument's only one."""
        parameters = cast("Sequence[Parameter]", self.given.command.params)
        keys = {
            name.removeprefix("--"): each
            for each in parameters
            for name in each.opts
            if name[:2] == "--" or name[:1] != "-"
        }
        return {key: each for key, each in keys.items() if key not in _NOT_HERE}

    def found(self, known: Mapping[str, Parameter], key: str, where: str = "") -> Parameter:
        """The parameter of a key. Raises InvalidRequestError where there is none."""
        if key in known:
            return known[key]
        near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InvalidRequestError(
            f"{self.path}: {where}there is no option {key[:40]!r}.{hint}", remedy=_TABLE_KEYS if where else _KEYS
        )


def _read(file: _File, of_a_table: frozenset[str]) -> None:
    """Let what the file says be the defaults of the command that is being parsed."""
    known, found = file.known(), dict[str, object]()
    for key, value in _table(file.path).items():
        if key == _MODELS and of_a_table:
            mine = {name: each for name, each in known.items() if each.name in of_a_table}
            file.given.meta[_META] = _tables(file, mine, value)
            continue
        parameter = file.found(known, key)
        found[parameter.name], _ = _checked(file, parameter, key, value)
    file.given.default_map = found


def _tables(file: _File, known: Mapping[str, Parameter], value: object) -> dict[str, dict[str, object]]:
    """Raises InvalidRequestError: a table is none, or says what is not one model's."""
    if not isinstance(value, dict) or not all(isinstance(each, dict) for each in value.values()):
        raise InvalidRequestError(
            f"{file.path}: models has another kind of value.",
            remedy="Write a table for each model, as in [models.small].",
        )
    return {name: _one_table(file, known, name, table) for name, table in value.items()}


def _one_table(
    file: _File, known: Mapping[str, Parameter], name: str, table: Mapping[str, object]
) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in table.items():
        if key == _MODEL:
            if not isinstance(value, str) or not value:
                raise InvalidRequestError(
                    f"{file.path}: in [models.{name}] model is no text.", remedy="Name one model."
                )
            values[_MODEL] = value
            continue
        parameter = file.found(known, key, f"in [models.{name}] ")
        _, values[parameter.name] = _checked(file, parameter, key, value)
    return values


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


def _checked(file: _File, parameter: Parameter, key: str, value: object) -> tuple[object, object]:
    """The value in the parser's words, and as the parser gives it to the command.

    Raises:
        InvalidRequestError: it is of another kind, or outside what the option takes.
    """
    switch, several = bool(getattr(parameter, "is_flag", False)), parameter.multiple or parameter.nargs != 1
    values = value if isinstance(value, list) and several else [value]
    if not all(isinstance(each, bool) if switch else _is_word(each) for each in values):
        kind = "true or false" if switch else "a list of texts" if several else "a text or a number"
        raise InvalidRequestError(f"{file.path}: {key} has another kind of value.", remedy=f"Give {kind}.")
    words = value if switch else [str(each) for each in values] if several else str(value)
    try:
        return words, parameter.process_value(file.given, words)
    except Exception as error:
        if not isinstance(error, _Refused):
            raise
        raise InvalidRequestError(
            f"{file.path}: {error.format_message().rstrip('.')}.", remedy="Mend it in the file."
        ) from None


def _is_word(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
