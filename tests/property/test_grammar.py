"""Whatever a schema says and whatever is drawn: a document that ends is one that the schema accepts."""

from __future__ import annotations

import json
import random
import re
from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.schemas import assert_valid, schemas

from undiced.core.errors import InvalidRequestError
from undiced.grammar import LlGrammars, Vocabulary, schema_form
from undiced.grammar.dates import PATTERNS
from undiced.grammar.schema import Walk

PIECES = [
    "true",
    "false",
    "null",
    '{"',
    '"}',
    '": ',
    '", "',
    "[]",
    "{}",
    '": "',
    "ame",
    "value of",
    "20",
    "-0",
    "ö",
    "  ",
    "}}",
]
TOKENS = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in PIECES] + [b"<end>", b"<other>"]
END, OTHER = len(TOKENS) - 2, len(TOKENS) - 1


def encode(text: str) -> list[int]:
    """The longest pieces first, then bytes."""
    data, ids = text.encode(), []
    while data:
        token = max((t for t in range(END) if data.startswith(TOKENS[t])), key=lambda t: len(TOKENS[t]))
        ids.append(token)
        data = data[len(TOKENS[token]) :]
    return ids


GRAMMARS = LlGrammars(Vocabulary(TOKENS, [END, OTHER], [END], encode, len(TOKENS) + 30))


def walk(grammar: str, draw: random.Random, most: int) -> tuple[bytes, bool]:
    """Draw tokens that masks allow; what they spell, and whether it is complete. Likes short tokens, and ends."""
    matcher = GRAMMARS.matcher(grammar)
    row, text = np.zeros(-(-(len(TOKENS) + 30) // 32), np.int32), b""
    for _ in range(most):
        if matcher.finished:
            return text, True
        if draw.random() < 0.7 and (forced := matcher.forced()):
            assert matcher.accept(forced)
            text += b"".join(TOKENS[token] for token in forced)
            continue
        assert matcher.fill(row)
        allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
        assert len(allowed) and allowed.max() < len(TOKENS) and OTHER not in allowed
        closing = [token for token in allowed if token == END or TOKENS[token][:1] in b'"]},']
        token = int(draw.choice(closing if closing and draw.random() < 0.5 else list(allowed)))
        if token == END:
            return text, True
        assert matcher.accept([token])
        text += TOKENS[token]
    return text, matcher.finished


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas(), st.integers(0, 1 << 32))
@example({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 9}, 0)
@example({"type": ["number", "null"], "exclusiveMaximum": 0}, 0)
@example({"type": "number", "exclusiveMinimum": 120, "exclusiveMaximum": 129}, 0)
@example({"type": "number", "exclusiveMinimum": 99, "exclusiveMaximum": 101}, 8)
def test_documents_that_end_are_what_the_schema_says(schema: dict, seed: int) -> None:
    try:
        grammar = schema_form(schema, strict=True, place="schema").grammar
    except InvalidRequestError as error:  # nothing can satisfy some of them
        assert "satisfi" in error.message or "multipleOf" in error.message, error
        return
    text, done = walk(grammar, random.Random(seed), 400)
    if done:
        assert_valid(text.decode(), schema)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.sampled_from(
        ["type", "properties", "items", "anyOf", "allOf", "oneOf", "$ref", "enum", "const", "pattern", "format", "not",
         "minimum", "maxLength", "minItems", "required", "additionalProperties", "$defs", "prefixItems", "multipleOf"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(JSON, st.booleans())
def test_any_json_is_a_schema_or_one_clear_refusal(schema: object, strict: bool) -> None:
    try:
        form = schema_form(schema, strict=strict, place="schema")
    except InvalidRequestError as error:
        assert error.param is not None and error.param.startswith("schema") and error.remedy
    else:
        assert json.loads(form.grammar) and (not strict or not form.ignored)
        walk(form.grammar, random.Random(1), 30)


def test_every_date_and_time_is_one_that_readers_take() -> None:
    """Over the years in which calendars have their rules, and their neighbors."""
    known = {name: re.compile(pattern) for name, pattern in PATTERNS.items()}
    for year in (0, 1, 4, 100, 400, 999, 1600, 1900, 1904, 1999, 2000, 2023, 2024, 2100, 9996, 9999):
        for month in range(14):
            for day in range(33):
                text = f"{year:04}-{month:02}-{day:02}"
                try:
                    date.fromisoformat(text)
                except ValueError:
                    assert not known["date"].match(text), text
                else:
                    assert known["date"].match(text) and known["date-time"].match(f"{text}T00:00:00Z"), text
    for text, fine in {"23:59:59Z": 1, "00:00:00.5+02:30": 1, "23:59:60Z": 0, "24:00:00Z": 0, "00:00:00": 0}.items():
        assert bool(known["time"].match(text)) == fine, text


def test_a_date_may_have_a_pattern_too() -> None:
    schema = {"type": "string", "format": "date", "pattern": "^2", "allOf": [{"pattern": "29$"}]}
    text, done = walk(schema_form(schema, strict=True, place="schema").grammar, random.Random(1), 40)
    assert done and re.fullmatch('"2[0-9]{3}-[0-9]{2}-29"', text.decode())


@pytest.mark.parametrize(
    ("schema", "document", "possible"),
    [
        ({"properties": {"a": {"type": "null"}}}, '{"a": null, "b": 1, "b": 2}', True),
        ({"properties": {"a": {"type": "null"}}}, '{"a": null, "a": null}', False),
        ({"properties": {"a": {"type": "null"}}}, '{"b": 1, "a": 2}', False),
        ({"patternProperties": {"^b": {"type": "integer"}}, "additionalProperties": False}, '{"b": 1, "b": 2}', True),
    ],
)
def test_only_a_key_that_the_schema_does_not_name_may_stand_twice(schema: dict, document: str, possible: bool) -> None:
    """What the documentation says of this limit."""
    matcher = GRAMMARS.matcher(schema_form({"type": "object"} | schema, strict=True, place="schema").grammar)
    assert all(matcher.accept([token]) for token in document.encode()) == possible


def test_learning_of_one_grammar_does_not_wear_it_out() -> None:
    """Copies share what the library learns; documents beyond its bounds are no end of the grammar."""
    fields = {f"f{at}": {"type": "string", "maxLength": 60 + at} for at in range(6)}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    grammar = schema_form(schema, strict=True, place="schema").grammar
    for seed in range(40):
        text, done = walk(grammar, random.Random(seed), 900)
        assert done
        assert_valid(text.decode(), schema)


@settings(max_examples=200, deadline=None)
@given(schemas())
def test_a_walk_changes_no_schema_that_can_be_held_to(schema: dict) -> None:
    looked = Walk(strict=False, place="")
    found = looked.root(schema)
    text = json.dumps(schema)
    assert not looked.ignored and ("exclusive" in text or '"format": "' in text or found == schema)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thousands_of_schemas_on_the_real_model() -> None:
    """Schemas times temperatures: every document that ended validates, and most end."""
    from undiced import LLM, SamplingParams
    from undiced.params import StructuredOutputsParams

    found: list[dict] = []

    @settings(
        max_examples=2_300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(schemas())
    def collect(schema: dict) -> None:
        found.append(schema)

    collect()
    asked, params = [], []
    for at, schema in enumerate(found):
        try:
            schema_form(schema, strict=True, place="schema")
        except InvalidRequestError:
            continue
        asked.append(schema)
        form = StructuredOutputsParams(json=schema)
        params.append(SamplingParams(temperature=at % 5 / 2, seed=at, max_tokens=120, structured_outputs=form))
    assert len(asked) >= 2_000
    with LLM(max_batch=32) as llm:
        answers = llm.chat([[{"role": "user", "content": "Write some JSON."}]] * len(asked), params)
    ended = 0
    for schema, answer in zip(asked, answers, strict=True):
        if answer.outputs[0].finish_reason == "stop":
            assert_valid(answer.outputs[0].text, schema)
            ended += 1
    assert ended > 0.9 * len(asked)
