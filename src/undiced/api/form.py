"""The form of an answer as clients ask for it: one thing under many names. Makes it a `grammar.Form`; compiles nothing
for a model.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undiced.api.schemas import NULL
from undiced.core.errors import InvalidRequestError
from undiced.grammar import Form, choice_form, json_form, lark_form, regex_form, schema_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.api.schemas import Body, ResponseFormat, StructuredOutputs

    Asked = dict[str, Callable[[], Form]]

_FORMAT = "response_format"
T = TypeVar("T")
_FORMS = ThreadPoolExecutor(1, "forms")  # of its own: what is hard to try holds up nothing but other forms
_TYPES = "text, json_object or json_schema"


async def form_of(wire: Body) -> Form | None:
    """The form that a request asks for, or None.

    Raises:
        InvalidRequestError: two are asked for, or one can't be held; `param` is the path of what is wrong.
    """
    asked = _asked(wire)
    if not asked:
        return None
    if len(asked) > 1:
        first, second = list(asked)[:2]
        raise InvalidRequestError(f"{first} and {second} exclude each other.", param=second, remedy="Send one of them.")
    [make] = asked.values()
    if wire.allowed_token_ids is not None:
        raise InvalidRequestError(
            f"{next(iter(asked))} and allowed_token_ids exclude each other.",
            param="allowed_token_ids",
            remedy="Send one of them.",
        )
    return await tried(make)


async def tried(make: Callable[[], T]) -> T:
    """Make forms on their own thread."""
    return await asyncio.get_running_loop().run_in_executor(_FORMS, make)


def _asked(wire: Body) -> Asked:
    """Every form that is asked for, by the member that does."""
    asked: Asked = {}
    if (given := wire.response_format) is not None and given.type != "text":
        asked[_FORMAT] = lambda: _response_format(given)
    elif given is not None and (given.json_schema != NULL or given.schema != NULL):
        message = "response_format of type text takes no schema."
        raise InvalidRequestError(message, param=_FORMAT, remedy="Send the type json_schema.")
    if wire.structured_outputs is not None:
        asked |= _structured(wire.structured_outputs, "structured_outputs.")
    if wire.json_schema != NULL:
        asked["json_schema"] = lambda: _schema(wire.json_schema, False, "json_schema")
    asked |= _texts("", wire.regex, wire.grammar, None)
    asked |= _texts("guided_", wire.guided_regex, wire.guided_grammar, wire.guided_choice)
    if wire.guided_json != NULL:
        asked["guided_json"] = lambda: _schema(wire.guided_json, False, "guided_json")
    return asked


def _structured(given: StructuredOutputs, place: str) -> Asked:
    asked = _texts(place, given.regex, given.grammar, given.choice)
    if given.json != NULL:
        asked[f"{place}json"] = lambda: _schema(given.json, False, f"{place}json")
    if given.json_object:
        asked[f"{place}json_object"] = json_form
    if not asked:
        raise InvalidRequestError("structured_outputs asks for no form.", param="structured_outputs")
    return asked


def _texts(place: str, regex: str | None, grammar: str | None, choice: list[str] | None) -> Asked:
    asked: Asked = {}
    if regex:
        asked[f"{place}regex"] = lambda: regex_form(regex, f"{place}regex")
    if grammar:
        asked[f"{place}grammar"] = lambda: lark_form(grammar, f"{place}grammar")
    if choice is not None:
        asked[f"{place}choice"] = lambda: choice_form(choice, f"{place}choice")
    return asked


def _response_format(given: ResponseFormat) -> Form:
    if given.type == "json_object":
        return json_form() if given.schema == NULL else _schema(given.schema, False, f"{_FORMAT}.schema")
    if given.type != "json_schema":
        message = f"response_format.type must be {_TYPES}, not '{given.type[:40]}'."
        raise InvalidRequestError(message, param=f"{_FORMAT}.type")
    place = f"{_FORMAT}.json_schema"
    if given.json_schema == NULL:
        raise InvalidRequestError(f"{place} is missing.", param=place, remedy="Send an object with name and schema.")
    named = _decoded(given.json_schema, place)
    if not isinstance(named, dict) or "schema" not in named:
        raise InvalidRequestError(f"{place}.schema is missing.", param=f"{place}.schema")
    strict = named.get("strict")
    if strict not in (None, True, False):
        raise InvalidRequestError(f"{place}.strict must be true or false.", param=f"{place}.strict")
    return schema_form(named["schema"], strict=bool(strict), place=f"{place}.schema")


def _schema(raw: msgspec.Raw, strict: bool, place: str) -> Form:
    """A schema, or the text of one."""
    found = _decoded(raw, place)
    if isinstance(found, str):
        found = _decoded(msgspec.Raw(found.encode("utf-8", "replace")), place)
    return schema_form(found, strict=strict, place=place)


def _decoded(raw: msgspec.Raw, place: str) -> object:
    try:
        found: object = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{place} is no JSON: {error}.", param=place) from None
    return found
