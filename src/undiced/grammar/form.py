"""Form: what a client wants an answer to look like, as the text of a grammar. Checks it as far as that goes without a
model's vocabulary.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError
from undiced.grammar.bounds import MAX_CHARS, MAX_VALUES
from undiced.grammar.schema import Walk, has
from undiced.grammar.trial import TRIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llguidance._lib import JsonCompileOptions

# One line with single spaces, as Python writes JSON: models know it, it keeps them from endless blanks, and most of
# what stands between values has one spelling, so that it need not be drawn.
# No escapes by number: a key could be written twice in two spellings.
_LAYOUT: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
}
_COERCED: JsonCompileOptions = {**_LAYOUT, "coerce_one_of": True}
_ONE_OF = "oneOf"


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer looks like.

    Attributes:
        grammar: as `LlGrammars` reads it; two forms are the same if it is.
        ignored: paths in the request of what the grammar leaves out.
    """

    grammar: str
    ignored: tuple[str, ...] = ()


def json_form() -> Form:
    """Any JSON object."""
    return Form(_schema_grammar({"type": "object"}, "json_object", coerce=False))


def schema_form(schema: object, *, strict: bool, place: str) -> Form:
    """A JSON document that a schema accepts.

    Args:
        schema: as JSON has it.
        strict: what a grammar can't hold is refused; else it is left out and told in `ignored`.
        place: of the schema in its request; errors name the path from there.

    Raises:
        InvalidRequestError: it is no schema, too large, or can't be held; `param` is the path.
    """
    walk = Walk(strict, place)
    _bounded(_text(schema, place), place)
    plain = walk.root(schema)
    grammar = _schema_grammar(plain, place, coerce=False)
    problem = problem_of(grammar)
    if problem and _ONE_OF in problem and not strict and has(plain, _ONE_OF):
        grammar = _schema_grammar(plain, place, coerce=True)
        walk.ignored.append(f"{place}.{_ONE_OF}")
        problem = problem_of(grammar)
    if problem:
        raise _refused(_path_of(problem, walk), problem)
    return Form(grammar, tuple(walk.ignored))


def regex_form(regex: str, place: str) -> Form:
    """A text that a regular expression describes as a whole.

    Raises:
        InvalidRequestError: it is none, looks around or back, or is too large.
    """
    from llguidance import LLMatcher

    return _checked(LLMatcher.grammar_from_regex(_bounded(regex, place)), place)


def choice_form(choices: Sequence[str], place: str) -> Form:
    """One of some texts.

    Raises:
        InvalidRequestError: there is none, or there are too many.
    """
    if isinstance(choices, str) or not all(isinstance(one, str) and one for one in choices):
        raise InvalidRequestError(f"{place} must be a list of texts.", param=place)
    if not 0 < len(choices) <= MAX_VALUES:
        raise InvalidRequestError(f"{place} has {len(choices)} texts; 1 to {MAX_VALUES} are possible.", param=place)
    return lark_form("start: " + " | ".join(json.dumps(one, ensure_ascii=False) for one in choices), place)


def lark_form(grammar: str, place: str) -> Form:
    """A text that a context-free grammar in Lark's notation derives from `start`.

    Raises:
        InvalidRequestError: it is none, or too large.
    """
    from llguidance import LLMatcher

    return _checked(LLMatcher.grammar_from_lark(_bounded(grammar, place)), place)


def _schema_grammar(schema: object, place: str, *, coerce: bool) -> str:
    from llguidance import LLMatcher

    overrides = _COERCED if coerce else _LAYOUT
    try:
        return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=overrides)
    except ValueError as error:  # numbers that no double holds
        raise _refused(place, str(error)) from None


def _checked(grammar: str, place: str) -> Form:
    if problem := problem_of(grammar):
        raise _refused(place, problem)
    return Form(grammar)


@lru_cache(maxsize=256)
def problem_of(grammar: str) -> str:
    """What the library has against a grammar; empty: nothing. Remembered, for it takes milliseconds."""
    return TRIAL.problem(grammar)


def _path_of(problem: str, walk: Walk) -> str:
    """The path of the keyword that the library complains about, as far as its words tell."""
    if problem.startswith("Pointer"):
        problem = "$ref"
    elif problem.startswith("oneOf"):
        problem = "oneOf"
    named = (path for name, path in walk.first.items() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", problem))
    return next(named, walk.place)


def _text(schema: object, place: str) -> str:
    try:
        return json.dumps(schema, allow_nan=False, ensure_ascii=False).encode().decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(place, f"it is no JSON ({error})") from None


def _bounded(text: str, place: str) -> str:
    if len(text) > MAX_CHARS:
        message = f"{place} has {len(text)} characters; {MAX_CHARS} are allowed."
        raise InvalidRequestError(message, param=place, remedy="Simplify it.")
    return text


def _refused(place: str, problem: str) -> InvalidRequestError:
    message = f"{place} cannot be used: {' '.join(problem.split())[:300]}."
    return InvalidRequestError(message, param=place, remedy="Correct or simplify it.")
