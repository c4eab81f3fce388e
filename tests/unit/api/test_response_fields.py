"""The tables of the Responses API are true: what they call served is what decoders read, and the official client can
send nothing in a request that they don't know.
"""

from __future__ import annotations

import importlib
import json

import pytest
from openai.types.responses import response_create_params

from undiced.api.call import IGNORED_HEADER
from undiced.api.fields import ANY, Fate
from undiced.api.responses import fields, schemas

KINDS = {
    "": schemas.ResponseBody,
    "text.": schemas.TextOptions,
    "text.format.": schemas.TextFormat,
    "reasoning.": schemas.ReasoningOptions,
    "tool_choice.": schemas.PickedTool,
}
STRANGE = [{"any": ["thing"]}, "strange", 77.5]


def test_the_table_says_served_of_exactly_what_the_decoder_reads():
    assert KINDS.keys() == {place for place, lines in fields.TABLE.items() if ANY not in {one.name for one in lines}}
    for place, kind in KINDS.items():
        served = [line.name for line in fields.TABLE[place] if line.fate is Fate.SERVED]
        assert sorted(served) == sorted(kind.__struct_fields__), place
        assert len({line.name for line in fields.TABLE[place]}) == len(fields.TABLE[place])


def test_what_would_change_an_answer_is_refused_by_name_and_what_would_not_is_taken(caller):
    for line in fields.TABLE[""]:
        if line.fate is Fate.SERVED:
            continue
        for value in STRANGE:
            reply = caller.post("/v1/responses", {"input": "hi", line.name: value})
            if line.fate is Fate.REFUSED:
                error = reply.json["error"]
                assert (reply.status, error["code"], error["param"]) == (400, "unsupported", line.name)
            else:
                assert reply.status == 200 and IGNORED_HEADER not in reply.headers
        for value in (None, *line.neutral):
            reply = caller.post("/v1/responses", {"input": "hi", line.name: value})
            assert reply.status == 200 and IGNORED_HEADER not in reply.headers, (line.name, value)


def test_the_official_client_can_send_nothing_unknown():
    known = {line.name for line in fields.TABLE[""]}
    params = response_create_params.ResponseCreateParamsBase
    assert params.__required_keys__ | params.__optional_keys__ <= known


@pytest.mark.parametrize(
    ("module", "kind", "known"),
    [
        ("easy_input_message_param", "EasyInputMessageParam", fields.MESSAGE_FIELDS),
        ("response_output_message_param", "ResponseOutputMessageParam", fields.MESSAGE_FIELDS),
        ("response_reasoning_item_param", "ResponseReasoningItemParam", fields.REASONING_FIELDS),
        ("response_function_tool_call_param", "ResponseFunctionToolCallParam", fields.CALL_FIELDS),
        ("response_custom_tool_call_param", "ResponseCustomToolCallParam", fields.CUSTOM_CALL_FIELDS),
        ("response_input_item_param", "FunctionCallOutput", fields.RESULT_FIELDS),
        ("response_custom_tool_call_output_param", "ResponseCustomToolCallOutputParam", fields.RESULT_FIELDS),
        ("function_tool_param", "FunctionToolParam", fields.FUNCTION_FIELDS),
        ("custom_tool_param", "CustomToolParam", fields.CUSTOM_FIELDS),
        ("namespace_tool_param", "NamespaceToolParam", fields.NAMESPACE_FIELDS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_official_client_can_send_no_item_or_tool_with_unknown_members(module, kind, known):
    params = getattr(importlib.import_module(f"openai.types.responses.{module}"), kind)
    names = params.__required_keys__ | params.__optional_keys__
    assert known.examine(json.dumps(dict.fromkeys(names)).encode()) == ()
