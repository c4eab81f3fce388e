"""The table of members is true: each is served, harmless or refused as it says, at both endpoints, and the official
clients can send nothing that it doesn't know.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.field_docs import BEGIN, END, markdown

from undiced.api import schemas
from undiced.api.call import IGNORED_HEADER
from undiced.api.field_table import TABLE
from undiced.api.fields import ANY, MAX_MEMBERS, Fate, Field, Where

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
AT = {Where.CHAT: CHAT, Where.TEXT: TEXT}
STRANGE = [{"any": ["thing"]}, "strange", 77.5, ["x"]]  # neutral for no member
CHATTY = {"messages", "reasoning", "thinking", "tools", "tool_choice"}  # objects of chats
DOCS = Path(__file__).parents[3] / "docs" / "api.md"


def good(where: Where) -> dict:
    if where is Where.CHAT:
        return {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    return {"model": "m", "prompt": "hi", "max_tokens": 2}


def holding(place: str, name: str, value: object, where: Where) -> dict:
    """A good request with the member where it belongs."""
    body = good(where)
    if not place:
        return body | {name: value}
    if place == "stream_options.":
        return body | {"stream": True, "stream_options": {name: value}}
    if place == "response_format.":
        return body | {"response_format": {"type": "text", name: value}}
    if place == "structured_outputs.":
        return body | {"structured_outputs": {"json_object": True, name: value}}
    if place == "reasoning.":
        return body | {"reasoning": {name: value}}
    if place == "thinking.":
        return body | {"thinking": {"type": "disabled", name: value}}
    if place == "tools[].":
        return body | {"tools": [{"function": {"name": "f"}, name: value}], "tool_choice": "none"}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    if place == "messages[].":
        message = {"role": "user", "content": "hi", name: value}
    elif place == "messages[].content[].":
        message = {"role": "user", "content": [{"type": "text", "text": "hi", name: value}]}
    elif place == "messages[].tool_calls[].":
        message = {"role": "assistant", "tool_calls": [call | {name: value}]}
    else:
        assert place == "messages[].tool_calls[].function."
        message = {"role": "assistant", "tool_calls": [call | {"function": call["function"] | {name: value}}]}
    results = [{"role": "tool", "tool_call_id": "1", "content": "4"}] if "tool_calls" in message else []
    return body | {"messages": [message, *results, {"role": "user", "content": "hi"}]}


def full_name(place: str, name: str) -> str:
    return place.replace("[]", "[0]") + name


def lines(where: Where) -> list[tuple[str, Field]]:
    """Every line that speaks about the endpoint, with the place of the object."""
    return [
        (place, line)
        for place, found in TABLE.items()
        for line in found
        if (where in line.where or line.fate is Fate.SERVED)
        and (where is Where.CHAT or place.partition("[")[0].partition(".")[0] not in CHATTY)
    ]


async def replies(caller, where: Where, bodies: list[dict], stream: bool) -> list:
    return [await caller.call("POST", AT[where], body | ({"stream": True} if stream else {})) for body in bodies]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("where", [Where.CHAT, Where.TEXT], ids=["chat", "text"])
def test_what_would_change_the_answer_is_refused_by_name_unless_its_value_is_neutral(caller, where, stream):
    refused = [(place, line) for place, line in lines(where) if line.refuses_at(where)]
    assert len(refused) > 150

    async def walk() -> None:
        for place, line in refused:
            name = full_name(place, line.name)
            strange = [holding(place, line.name, value, where) for value in STRANGE[: 1 if stream else None]]
            for reply in await replies(caller, where, strange, stream):
                error = reply.json["error"]
                assert (reply.status, error["code"], error["param"]) == (400, "unsupported", name), name
                assert "supported" in error["message"] and len(error["message"]) < 300
            assert not caller.engine.submitted, name
            neutral = [holding(place, line.name, value, where) for value in (None, *line.neutral)]
            for body, reply in zip(neutral, await replies(caller, where, neutral, stream), strict=True):
                assert reply.status == 200, (body, reply.body)
                assert IGNORED_HEADER not in reply.headers
            caller.engine.submitted.clear()

    asyncio.run(walk())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("where", [Where.CHAT, Where.TEXT], ids=["chat", "text"])
def test_harmless_members_change_nothing_about_what_is_run(caller, where, stream):
    harmless = [(place, line.name) for place, line in lines(where) if line.fate is Fate.HARMLESS]

    def run() -> object:
        (request,) = caller.engine.submitted
        caller.engine.submitted.clear()
        return replace(request, id="")

    async def walk() -> None:
        for place, name in harmless:
            ran = []
            bodies = [holding(place, name, value, where) for value in (None, *STRANGE[: 1 if stream else None], False)]
            for body in bodies:
                (reply,) = await replies(caller, where, [body | {"seed": 1}], stream)
                assert reply.status == 200, (name, reply.body)
                assert IGNORED_HEADER not in reply.headers
                ran.append(run())
            assert len(set(map(repr, ran))) == 1, name

    asyncio.run(walk())


KINDS = {
    "stream_options.": schemas.StreamOptions,
    "response_format.": schemas.ResponseFormat,
    "reasoning.": schemas.Reasoning,
    "thinking.": schemas.ThinkingSwitch,
    "tools[].": schemas.Tool,
    "tools[].function.": schemas.ToolFunction,
    "tool_choice.": schemas.ToolChoice,
    "tool_choice.function.": schemas.ChosenFunction,
    "tool_choice.allowed_tools.": schemas.AllowedTools,
    "tool_choice.allowed_tools.tools[].": schemas.Chosen,
    "tool_choice.allowed_tools.tools[].function.": schemas.ChosenFunction,
    "messages[].": schemas.Message,
    "messages[].content[].": schemas.ContentPart,
    "messages[].tool_calls[].": schemas.ToolCall,
    "messages[].tool_calls[].function.": schemas.Function,
    "structured_outputs.": schemas.StructuredOutputs,
}


@pytest.mark.parametrize("where", [Where.CHAT, Where.TEXT], ids=["chat", "text"])
def test_the_table_says_served_of_exactly_what_the_decoder_reads(where):
    kinds = KINDS | {"": schemas.ChatBody if where is Where.CHAT else schemas.CompletionBody}
    assert kinds.keys() == {place for place, found in TABLE.items() if ANY not in {line.name for line in found}}
    for place, kind in kinds.items():
        served = {line.name for line in TABLE[place] if line.fate is Fate.SERVED and where in line.where}
        assert served == set(kind.__struct_fields__), place


def test_no_member_has_two_lines_at_one_endpoint():
    for place, found in TABLE.items():
        for where in (Where.CHAT, Where.TEXT):
            names = [line.name for line in found if where in line.where]
            assert len(names) == len(set(names)), place
        for line in found:
            assert line.note and line.origin and line.remedy.endswith(".")
            assert all(len(json.dumps(value)) <= 64 for value in line.neutral)


HEADERS = {"cf_ray", "x_amz_cf_id", "x_delay_time", "queue_threshold"}  # arguments that the clients send as headers
SDK_TYPES = [  # place, module, names of typed dictionaries; "" is a request
    ("", "openai.types.chat.completion_create_params", r"CompletionCreateParams(Base|NonStreaming|Streaming)", "chat"),
    ("", "openai.types.completion_create_params", r"CompletionCreateParams(Base|NonStreaming|Streaming)", "text"),
    ("", "cerebras.cloud.sdk.types.chat.completion_create_params", r"CompletionCreateParams", "chat"),
    ("", "cerebras.cloud.sdk.types.completion_create_params", r"CompletionCreateParams", "text"),
    ("stream_options.", "openai.types.chat.chat_completion_stream_options_param", r".*Param", "chat"),
    ("stream_options.", "cerebras.cloud.sdk.types.chat.completion_create_params", r"StreamOptions", "chat"),
    *(
        ("messages[].", f"openai.types.chat.chat_completion_{role}_message_param", r"Chat\w+MessageParam", "chat")
        for role in ("system", "developer", "user", "assistant", "tool", "function")
    ),
    ("messages[].", "cerebras.cloud.sdk.types.chat.completion_create_params", r"Message\w+MessageRequest", "chat"),
    *(
        ("messages[].content[].", f"openai.types.chat.chat_completion_content_part_{kind}", r"(Chat|File$).*", "chat")
        for kind in ("text_param", "image_param", "input_audio_param", "refusal_param", "param")
    ),
    (
        "messages[].content[].",
        "cerebras.cloud.sdk.types.chat.completion_create_params",
        r"Message\w+ContentUnionMember1(Text|ImageURL|Image)?(Content)?",
        "chat",
    ),
    *(
        (
            "messages[].tool_calls[].",
            f"openai.types.chat.chat_completion_message_{kind}_tool_call_param",
            r"Chat.*",
            "chat",
        )
        for kind in ("function", "custom")
    ),
    ("tools[].", "openai.types.chat.chat_completion_function_tool_param", r"ChatCompletionFunctionToolParam", "chat"),
    ("tools[].function.", "openai.types.shared_params.function_definition", r"FunctionDefinition", "chat"),
    ("tools[].", "cerebras.cloud.sdk.types.chat.completion_create_params", r"Tool", "chat"),
    ("tools[].function.", "cerebras.cloud.sdk.types.chat.completion_create_params", r"ToolFunction", "chat"),
    (
        "messages[].tool_calls[].",
        "cerebras.cloud.sdk.types.chat.completion_create_params",
        r"MessageAssistantMessageRequestToolCall",
        "chat",
    ),
]


@pytest.mark.parametrize(("place", "module", "pattern", "endpoint"), SDK_TYPES, ids=lambda value: str(value)[-40:])
def test_the_official_clients_can_send_nothing_unknown(place, module, pattern, endpoint):
    """A member that a new release of a client adds must get a line, and so a decision."""
    loaded = importlib.import_module(module)
    kinds = [
        kind
        for name, kind in vars(loaded).items()
        if re.fullmatch(pattern, name) and hasattr(kind, "__required_keys__")
    ]
    assert kinds, f"{module} has no such type any more"
    where = Where[endpoint.upper()]
    known = {line.name for line in TABLE[place] if where in line.where or line.fate is Fate.SERVED}
    for kind in kinds:
        assert (kind.__required_keys__ | kind.__optional_keys__) - HEADERS <= known, kind.__name__


def test_unknown_members_are_reported_wherever_they_stand(caller):
    message = {"role": "user", "mood": 1, "content": [{"type": "text", "text": "hi", "tone": 2}]}
    body = {"messages": [message, message], "temprature": 0, "stream": True, "stream_options": {"include_usge": True}}
    reply = caller.chat(**body)
    assert reply.status == 200
    assert reply.headers[IGNORED_HEADER] == (
        "messages[].content[].tone,messages[].mood,stream_options.include_usge,temprature"
    )


def test_no_unknown_member_is_lost_in_silence(caller):
    names = {f"unknown{i:03}": i for i in range(40)}
    shown = caller.complete(**names).headers[IGNORED_HEADER].split(",")
    assert shown == [*sorted(names)[:32], "+8"]
    assert caller.complete(**{"x" * 5000: 1}).headers[IGNORED_HEADER] == "x" * 64


def test_a_query_is_reported_as_unknown(caller):
    reply = caller("POST", TEXT, good(Where.TEXT), query=b"api-version=2024-10-21&a%0d%0ab=1")
    assert reply.status == 200
    assert reply.headers[IGNORED_HEADER] == "?a%0D%0Ab,?api-version" or reply.headers[IGNORED_HEADER] == (
        "?api-version,?a%0D%0Ab"
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":"m","prompt":"hi","temperature":0,"temperature":1}', "temperature"),
        (b'{"model":"m", "prompt":"hi", "prompt":"ho"}', "prompt"),
        (b'{"model":"m","prompt":"hi","prompt":"hi"  }', "prompt"),
        (b'{"model":"m","prompt":"hi","pr\\u006fmpt":"ho"}', "prompt"),
        (b'{"model":"m","prompt":"hi","huh":1,"huh":2}', "huh"),
        (b'{"model":"m","prompt":"hi","logit_bias":{"5":1,"5":-1}}', "logit_bias.5"),
        (
            b'{"model":"m","prompt":"hi","stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
            "stream_options.include_usage",
        ),
    ],
)
def test_a_member_that_is_given_twice_is_refused(caller, body, param):
    reply = caller.post(TEXT, body)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "wrong_api_format", param)
    assert "twice" in error["message"]


def test_a_message_member_that_is_given_twice_is_refused(caller):
    long = b"x" * 100_000
    for text in (b"hi", long):
        raw = b'{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user","content":"%b","content":"c"}]}'
        error = caller.post(CHAT, raw % text).json["error"]
        assert (error["code"], error["param"]) == ("wrong_api_format", "messages[1].content")


@pytest.mark.parametrize("spaces", ["", " ", "\n\t "])
def test_spaces_and_escapes_between_members_are_no_members_given_twice(caller, spaces):
    raw = '{@"model"@:@"m"@,@"prompt"@:@"hi"@,@"stream_options"@:@null@,@"max\\u005ftokens"@:@3@}'
    assert caller.post(TEXT, raw.replace("@", spaces).encode()).status == 200


def test_too_many_members_are_refused(caller):
    raw = b'{"model":"m","prompt":"hi"%b}' % b"".join(b',"a%d":0' % i for i in range(MAX_MEMBERS))
    error = caller.post(TEXT, raw).json["error"]
    assert error["code"] == "wrong_api_format" and str(MAX_MEMBERS) in error["message"]


def test_the_documentation_has_the_table():
    """To write it anew: python -m support.field_docs, run in tests/."""
    text = DOCS.read_text()
    assert text[text.index(BEGIN) : text.index(END) + len(END)] == markdown()
