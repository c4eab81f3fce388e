"""ModelOptions: what can be said of one model that is served, on the command line for all, or in a table of its own.

Knows which words name which model; opens none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated

import typer

from undiced.cli.config_file import tables_of
from undiced.cli.given import stronger_than_file
from undiced.cli.options import Draft, KvTypeName, MaxContext, Revision
from undiced.core.errors import InvalidRequestError
from undiced.core.quote import quoted

_TABLES = "Give each a table [models.NAME] with its model in a file for --config."


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """See the file's head. A table in a configuration file takes the same names as the command."""

    threads: Annotated[
        int | None, typer.Option(min=1, help="Cores to use; all by default, which two models share.")
    ] = None
    max_batch: Annotated[int, typer.Option(min=1, max=4096, help="Sequences that run together.")] = 32
    max_context: MaxContext = None
    kv_type: KvTypeName = "f16"
    revision: Revision = None
    max_queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; more get 429.")] = 256
    speculate: Annotated[
        bool, typer.Option(help="Guess tokens ahead where a text repeats itself. Answers are the same, sooner.")
    ] = True
    draft: Draft = None
    served_model_name: Annotated[
        list[str] | None,
        typer.Option(
            help="The model's name for clients; further ones are accepted too. Of several models: NAME=MODEL."
        ),
    ] = None
    tool_format: Annotated[
        str, typer.Option(help="How the model writes calls, where its template doesn't tell; none: it can't call.")
    ] = ""
    thinking_format: Annotated[
        str, typer.Option(help="How it writes thoughts, where its template doesn't tell; none: they are content.")
    ] = ""


OF_A_MODEL = frozenset(each.name for each in fields(ModelOptions))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model that is to be served.

    Attributes:
        ref: what opens it. names: for clients; empty: its usual ones.
    """

    ref: str
    options: ModelOptions
    names: tuple[str, ...] = field(default=())


def wanted(given: typer.Context, words: Sequence[str], common: ModelOptions) -> list[Wanted]:
    """The models that a command line and its configuration file ask for, in order.

    A word is the name of a table, or else of a model; without words each table is a model. What a table says goes
    before what its file says of all models, and behind the command line and the environment.

    Raises:
        InvalidRequestError: it can't be told which model something is said of.
    """
    tables = tables_of(given)
    if tables and not stronger_than_file(given, "model"):
        words = _words_of_file(given, words, tables)
    _check_words(words, common)
    names = _names(words, common.served_model_name or ())
    firm = {name for name in OF_A_MODEL if stronger_than_file(given, name)}
    return [_wanted(word, common, tables.get(word), names.get(word, ()), firm) for word in words]


def _words_of_file(given: typer.Context, words: Sequence[str], tables: Mapping[str, object]) -> Sequence[str]:
    if "model" not in (given.default_map or {}):
        return list(tables)
    for name in tables:
        if name not in words:
            raise InvalidRequestError(
                f"The table [models.{name}] is of no model in {given.params['config']}.",
                remedy=f"Add {name} to its model = [...], or leave that out to serve every table.",
            )
    return words


def _check_words(words: Sequence[str], common: ModelOptions) -> None:
    for word in words:
        if words.count(word) > 1:
            raise InvalidRequestError(f"The model {quoted(word)} is named twice.", remedy=f"Name it once. {_TABLES}")
    if common.draft is not None and len(words) > 1:
        raise InvalidRequestError("--draft is of one model, and there are several.", remedy=_TABLES)
    if common.revision is not None and len(words) > 1:
        raise InvalidRequestError(
            "--revision is of one model, and there are several.", remedy="Write it behind a name, as in org/name@main."
        )


def _names(words: Sequence[str], given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The names for clients by the words of their models."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, _, word = text.partition("=")
        if word not in words:
            if len(words) > 1:
                raise InvalidRequestError(
                    f"--served-model-name {quoted(text)} does not say of which model.",
                    remedy=f"Write NAME=MODEL, as in {name}={words[0]}.",
                )
            name, word = text, words[0]
        found[word] = (*found.get(word, ()), name)
    return found


def _wanted(
    word: str, common: ModelOptions, table: Mapping[str, object] | None, names: tuple[str, ...], firm: set[str]
) -> Wanted:
    if table is None:
        return Wanted(word, common, names)
    own = {name: value for name, value in table.items() if name in OF_A_MODEL and name not in firm}
    options = _overlaid(common, own)
    listed = own.get("served_model_name")
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        names = tuple(map(str, listed))
    ref = str(table.get("model", word))
    return Wanted(ref, options, names or ((word,) if ref != word else ()))


def _overlaid(options: ModelOptions, values: Mapping[str, object]) -> ModelOptions:
    """A copy with values that the parser has made right."""
    copy = replace(options)
    for name, value in values.items():
        object.__setattr__(copy, name, value)
    return copy
