"""Random JSON schemas of the keywords that a grammar holds to, as a hypothesis strategy; and what a finished document
must be.
"""

from __future__ import annotations

import json

import jsonschema
from hypothesis import strategies as st

Schema = dict[str, object]
NAMES = st.sampled_from(["a", "b", "id", "name", "value of it", "größe", 'q"uote', "items", ""])
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=8)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-999, 999), TEXTS)


@st.composite
def strings(draw: st.DrawFn) -> Schema:
    least = draw(st.integers(0, 4))
    kinds: list[Schema] = [
        {"minLength": least, "maxLength": least + draw(st.integers(0, 12))},
        {"pattern": draw(st.sampled_from(["^[a-z]{1,6}$", "^(yes|no)$", r"^\d{2}-\d{2}$", "^[^x]{0,9}$"]))},
        {"format": draw(st.sampled_from(["date", "date-time", "uuid", "ipv4", "email", "time", "hostname"]))},
        {"maxLength": 10},
    ]
    return {"type": "string", **draw(st.sampled_from(kinds))}


@st.composite
def numbers(draw: st.DrawFn) -> Schema:
    low = draw(st.integers(-200, 200))
    bounds = draw(
        st.sampled_from([
            {},
            {"minimum": low},
            {"minimum": low, "maximum": low + 50},
            {"exclusiveMinimum": low, "exclusiveMaximum": low + 9},
            {"multipleOf": 5, "minimum": 0, "maximum": 1000},
        ])
    )  # fmt: skip
    return {"type": draw(st.sampled_from(["integer", "number"])), **bounds}


def leaves() -> st.SearchStrategy[Schema]:
    return st.one_of(
        strings(),
        numbers(),
        st.just({"type": "boolean"}),
        st.just({"type": ["null", "boolean"]}),
        st.builds(lambda value: {"const": value}, SCALARS),
        st.builds(lambda values: {"enum": values}, st.lists(SCALARS, min_size=1, max_size=5)),
    )


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    properties = draw(st.dictionaries(NAMES, inner, max_size=4))
    required = [name for name in properties if draw(st.booleans())]
    more = draw(st.sampled_from([False, False, {"type": "boolean"}]))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": more}


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    least = draw(st.integers(0, 2))
    first = draw(st.lists(inner, max_size=2))
    return {"type": "array", "prefixItems": first, "items": draw(inner), "minItems": least, "maxItems": least + 2}


def schemas() -> st.SearchStrategy[Schema]:
    """Schemas of a few levels, with choices."""
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            objects(inner),
            arrays(inner),
            st.builds(lambda ways: {"anyOf": ways}, st.lists(inner, min_size=1, max_size=3)),
        ),
        max_leaves=6,
    )


def assert_valid(document: str, schema: Schema) -> None:
    """The document is JSON, in one line, and the schema accepts it, formats included."""
    assert "\n" not in document
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(json.loads(document))
