"""The form of an answer, by every name that clients have for it: what reaches the engine, and what is refused."""

from __future__ import annotations

import time

import pytest

from undiced.api.call import IGNORED_HEADER
from undiced.grammar import choice_form, json_form, lark_form, regex_form, schema_form

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
BY_SCHEMA = schema_form(SCHEMA, strict=True, place="x").grammar
FORMAT = "response_format.json_schema.schema"


def named(schema: object, **more: object) -> dict:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **more}}}


SAME = [
    (named(SCHEMA, strict=True), BY_SCHEMA),
    (named(SCHEMA, strict=None, description="of a thing"), BY_SCHEMA),
    ({"response_format": {"type": "json_object", "schema": SCHEMA}}, BY_SCHEMA),
    ({"response_format": {"type": "json_object"}}, json_form().grammar),
    ({"json_schema": SCHEMA}, BY_SCHEMA),
    ({"guided_json": '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], '
      '"additionalProperties": false}'}, BY_SCHEMA),
    ({"structured_outputs": {"json": SCHEMA}}, BY_SCHEMA),
    ({"structured_outputs": {"json_object": True, "disable_any_whitespace": True}}, json_form().grammar),
    ({"regex": "[0-9]+"}, regex_form("[0-9]+", "x").grammar),
    ({"structured_outputs": {"regex": "[0-9]+"}}, regex_form("[0-9]+", "x").grammar),
    ({"guided_choice": ["a", 'b"\n']}, choice_form(["a", 'b"\n'], "x").grammar),
    ({"grammar": 'start: "x" | "y"'}, lark_form('start: "x" | "y"', "x").grammar),
    ({"response_format": {"type": "text"}, "regex": ""}, None),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "grammar"), SAME, ids=lambda value: str(value)[:50])
def test_many_names_mean_one_grammar_at_both_endpoints(caller, fields, grammar):
    for ask in (caller.chat, caller.complete):
        reply = ask(**fields)
        assert reply.status == 200, reply.body
        (request,) = caller.engine.submitted
        assert (request.guide and request.guide.grammar) == grammar
        assert IGNORED_HEADER not in reply.headers
        caller.engine.submitted.clear()


BAD = [
    (named({"type": "object", "properties": {"a": {"not": {}}}}, strict=True), f"{FORMAT}.properties.a.not"),
    (named({"properties": {"a": {"anyOf": [{"type": "word"}]}}}), f"{FORMAT}.properties.a.anyOf[0].type"),
    (named({"$ref": "http://example.com/x"}), f"{FORMAT}.$ref"),
    (named({"$ref": "#/$defs/none"}), f"{FORMAT}.$ref"),
    (named({"type": "integer", "minimum": 5, "maximum": 3}), f"{FORMAT}.minimum"),
    (named({"type": "string", "pattern": "("}), FORMAT),
    (named({"$ref": "#"}), FORMAT),
    (named({"minimum": -(10**4000)}), f"{FORMAT}.minimum"),
    (named({"const": "a\x01"}), f"{FORMAT}.const"),
    (named({"items": [{"const": 1}], "additionalItems": False}, strict=True), f"{FORMAT}.additionalItems"),
    (named({"minProperties": 2}, strict=True), f"{FORMAT}.minProperties"),
    (named({"enum": []}), f"{FORMAT}.enum"),
    (named([]), FORMAT),
    (named(False), FORMAT),
    (named({"oneOf": [{"type": "number"}, {"type": "integer"}]}, strict=True), f"{FORMAT}.oneOf"),
    (named(SCHEMA, strict="yes"), "response_format.json_schema.strict"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, FORMAT),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "text", "schema": {}}}, "response_format"),
    ({"regex": "a(?=b)"}, "regex"),
    ({"guided_regex": "("}, "guided_regex"),
    ({"grammar": "start: nothing"}, "grammar"),
    ({"structured_outputs": {"choice": [""]}}, "structured_outputs.choice"),
    ({"structured_outputs": {"choice": ["a"], "regex": "b"}}, "structured_outputs.choice"),
    ({"guided_json": "{"}, "guided_json"),
    ({"guided_choice": []}, "guided_choice"),
    ({"structured_outputs": {}}, "structured_outputs"),
    ({"structured_outputs": {"json_object": False}}, "structured_outputs"),
    (named(SCHEMA) | {"regex": "a"}, "regex"),
    ({"regex": "a", "allowed_token_ids": [1]}, "allowed_token_ids"),
]


@pytest.mark.parametrize(("fields", "param"), BAD, ids=lambda value: str(value)[:50])
def test_what_can_not_be_held_to_is_refused_by_its_path(caller, fields, param):
    for reply in (caller.chat(**fields), caller.complete(**fields)):
        assert reply.status == 400
        assert reply.json["error"]["param"] == param
        assert len(reply.json["error"]["message"]) < 500
    assert not caller.engine.submitted


def test_what_is_left_out_is_told(caller):
    schema = {"type": "array", "uniqueItems": True, "items": {"oneOf": [{"type": "number"}, {"type": "integer"}]}}
    reply = caller.chat(**named(schema))
    assert reply.status == 200
    assert reply.headers[IGNORED_HEADER] == f"{FORMAT}.uniqueItems,{FORMAT}.oneOf"


def nested(depth: int) -> object:
    schema: object = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


HOSTILE = {
    "a large enum": {"enum": [f"value {i}" for i in range(20_000)]},
    "an enum of 1,001": {"enum": list(range(1_001))},
    "deep": nested(51),
    "wide": {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(2_000)}},
    "long": {"type": "string", "pattern": "x" * 64_001},
    "deep in a value": {
        "const": [
            [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
        ]
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_too_much_is_refused_at_once(caller, name):
    started = time.process_time()
    reply = caller.chat(**named(HOSTILE[name]))
    assert reply.status == 400 and reply.json["error"]["param"].startswith(FORMAT)
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize(
    "fields",
    [
        {"grammar": "start: r0\n" + "".join(f"r{at}: r{at + 1}\n" for at in range(3_000)) + 'r3000: "a"'},
        {"json_schema": {"allOf": [{"type": "string", "pattern": f"a.{{{at}}}b"} for at in range(40)]}},
    ],
    ids=["overflows the stack", "takes exponential time"],
)
def test_what_would_kill_or_hang_the_process_is_tried_elsewhere_and_refused(caller, fields):
    reply = caller.chat(**fields)
    assert reply.status == 400 and "too much time or memory" in reply.json["error"]["message"]
    assert caller.chat(regex="[a-z]+").status == 200, "another process is there"
