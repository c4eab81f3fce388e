"""The Responses API over a scripted engine: what its requests mean, how answers are told, whole and streamed, and how
errors name what was sent.

The engine's tokens are scripted: no model said them. See `support.transcripts`.
"""

from __future__ import annotations

import json

import pytest
from scripted import ByteTokenizer, LineChat
from support.message_streams import events_of
from support.response_streams import response_of
from support.transcripts import TOOLS, TRANSCRIPTS

from undiced.api.call import IGNORED_HEADER
from undiced.core.errors import EngineError, InvalidRequestError, QueueFullError, ShuttingDownError
from undiced.text.formats import dialect_of

PATH = "/v1/responses"
HERMES = dialect_of('<tool_call>"name" <think></think>', ByteTokenizer())
OFFERED = [
    {"type": "function", "name": tool.name, "description": "d", "parameters": dict(tool.schema), "strict": False}
    for tool in TOOLS.values()
]
CALLS = TRANSCRIPTS["hermes"].text
ASK = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "4"}


def custom(**fields: object) -> dict:
    return {"type": "custom", "name": "exec", "description": "Runs code.", **fields}


def custom_call(arguments: str) -> str:
    return f'<tool_call>\n{{"name": "exec", "arguments": {arguments}}}\n</tool_call>'


def told(caller, stream: bool = False, **fields: object) -> dict:
    """The response to a request."""
    reply = caller.post(PATH, {"model": "m", "input": "hi", "stream": stream, **fields})
    assert reply.status == 200, reply.body
    return response_of(events_of(reply.body)) if stream else reply.json


def refused(caller, **fields: object) -> tuple[str, str]:
    """Code and place of a refusal; nothing has run."""
    reply = caller.post(PATH, {"model": "m", "input": "hi", **fields})
    assert reply.status == 400 and not caller.engine.submitted, reply.body
    return reply.json["error"]["code"], reply.json["error"]["param"]


def said(response: dict) -> list[tuple]:
    """What is in the output, without ids."""
    found = []
    for item in response["output"]:
        if "content" in item:
            found.append((item["type"], item["content"][0]["text"]))
        else:
            found.append((item["type"], item["name"], item.get("arguments", item.get("input"))))
    return found


class Watching(LineChat):
    """Keeps what it was handed. most: system messages that it takes, at the beginning alone."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.messages: list = []
        self.tools: list = []

    def pieces(self, messages, options=None) -> list[str]:
        if self.most is not None and any(one["role"] == "system" for one in messages[self.most :]):
            raise InvalidRequestError("The system speaks first.", param="messages")
        self.messages, self.tools = messages, list(options.tools)
        return super().pieces(messages, options)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("per_delta", [1, 7])
def test_thoughts_text_and_calls_are_items_in_their_order(make, stream, per_delta):
    text = "<think>so\nso</think>" + CALLS + custom_call('{"input": "a\\n\\"b\\" \\ud83d\\ude00"}') + "Done."
    caller = make(text=text, dialect=HERMES, per_delta=per_delta)
    response = told(caller, stream, tools=[*OFFERED, custom()])
    assert said(response) == [
        ("reasoning", "so\nso"),
        ("message", "Let me see."),
        ("function_call", "weather", '{"city": "Paris", "days": 2}'),
        ("function_call", "now", "{}"),
        ("custom_tool_call", "exec", 'a\n"b" 😀'),
        ("message", "Done."),
    ]
    assert response["status"] == "completed" and response["error"] is response["incomplete_details"] is None
    ids = [item["id"].partition("_")[0] for item in response["output"]]
    assert ids == ["rs", "msg", "fc", "fc", "ctc", "msg"] and len({item["id"] for item in response["output"]}) == 6
    assert len({item["call_id"] for item in response["output"] if "call_id" in item}) == 3
    usage = response["usage"]
    assert usage["output_tokens"] == len(text.encode()) + 1
    assert usage["output_tokens_details"]["reasoning_tokens"] >= len("so\nso</think>")
    assert usage["input_tokens_details"] == {"cached_tokens": 3, "cache_write_tokens": 0}
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_every_event_says_its_type_twice(make):
    caller = make(text="ab")
    names = [name for name, _ in events_of(caller.post(PATH, {"input": "hi", "stream": True}).body)]
    assert names == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_says_what_was_asked(make, stream):
    asked = {
        "instructions": "Be short.",
        "metadata": {"a": "b"},
        "max_output_tokens": 500,
        "temperature": 0.5,
        "tools": OFFERED,
        "tool_choice": {"type": "function", "name": "now"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "text"}},
    }
    response = told(make(text="x", dialect=HERMES), stream, **asked, top_p=0.25, store=True)
    assert {name: response[name] for name in asked} == asked
    assert (response["top_p"], response["store"], response["previous_response_id"]) == (0.25, False, None)
    assert response["id"].startswith("resp_") and response["model"] == "m" and response["created_at"] > 1e9


@pytest.mark.parametrize("stream", [False, True])
def test_a_limit_leaves_the_response_and_its_last_item_incomplete(make, stream):
    response = told(make(text=CALLS, dialect=HERMES), stream, tools=OFFERED, max_output_tokens=70)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["output"][1]["arguments"].startswith('{"') and response["usage"]["output_tokens"] == 70


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_says_nothing_is_an_empty_message(make, stream):
    assert said(told(make(text=""), stream)) == [("message", "")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineError("It broke."), "server_error"),
        (ShuttingDownError(), "server_error"),
        (QueueFullError("Full.", retry_after_s=1), "rate_limit_exceeded"),
        (InvalidRequestError("No."), "invalid_prompt"),
    ],
)
def test_a_stream_that_fails_says_so_as_a_response(make, error, code):
    caller = make(text="abc", error=error, fail_at=2)
    response = told(caller, stream=True)
    assert response["status"] == "failed" and response["output"] == []
    assert response["error"] == {"code": code, "message": str(error)}


def test_a_failure_before_the_first_token_has_a_status_of_its_own(make):
    caller = make(error=QueueFullError("Full.", retry_after_s=3))
    reply = caller.post(PATH, {"input": "hi", "stream": True})
    assert (reply.status, reply.headers["retry-after"], reply.json["error"]["code"]) == (429, "3", "queue_exceeded")


def test_log_probabilities_come_with_the_text_where_they_are_included(make):
    caller = make(text="abc")
    for stream in (False, True):
        fields = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
        [item] = told(caller, stream, **fields)["output"]
        rows = item["content"][0]["logprobs"]
        assert [row["token"] for row in rows] == ["a", "b", "c"] and len(rows[0]["top_logprobs"]) == 2


def test_what_the_system_and_the_developer_say_first_is_one_message(make):
    chat = Watching()
    caller = make(chat=chat, text="x")
    parts = [{"type": "input_text", "text": "two"}, {"type": "input_text", "text": "!"}]
    items = [
        {"role": "developer", "content": parts},
        {"type": "message", "role": "system", "content": "three"},
        ASK,
        {"role": "developer", "content": "later"},
    ]
    told(caller, instructions="one", input=items)
    assert [(one["role"], one["content"]) for one in chat.messages] == [
        ("system", "one\n\ntwo!\n\nthree"),
        ("user", "hi"),
        ("system", "later"),
    ]


def test_a_template_that_takes_the_system_at_the_beginning_alone_gets_all_of_it_there(make):
    chat = Watching(most=1)
    told(make(chat=chat, text="x"), instructions="one", input=[ASK, {"role": "developer", "content": "later"}])
    assert [(one["role"], one["content"]) for one in chat.messages] == [("system", "one\n\nlater"), ("user", "hi")]


def test_what_the_assistant_did_in_a_row_is_one_message(make):
    chat = Watching()
    items = [
        ASK,
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        CALL,
        {"type": "custom_tool_call", "call_id": "c2", "name": "exec", "namespace": "shell", "input": "ls"},
        RESULT,
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "wait"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}], "encrypted_content": "x"},
        {"role": "assistant", "content": "Four.", "id": "msg_1", "status": "completed", "phase": "final_answer"},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
    ]
    reply = make(chat=chat, text="x").post(PATH, {"input": items})
    assert reply.status == 200 and IGNORED_HEADER not in reply.headers, reply.body
    user, first, weather, shell, last, ask = chat.messages
    assert user == {"role": "user", "content": "hi"}
    assert (first["content"], first["reasoning_content"]) == ("Let me see.", "hm")
    assert [(one["id"], one["function"]) for one in first["tool_calls"]] == [
        ("c1", {"name": "weather", "arguments": "{}"}),
        ("c2", {"name": "shell.exec", "arguments": {"input": "ls"}}),  # offered no more
    ]
    assert weather == {"role": "tool", "content": "4", "tool_call_id": "c1"}
    assert shell == {"role": "tool", "content": "wait\na\nb", "tool_call_id": "c2"}
    assert (last["content"], last["reasoning_content"]) == ("Four.", "so")
    assert [part["text"] for part in ask["content"]] == ["a", "b"]


def test_an_answer_can_be_sent_back_as_it_came(make):
    chat = Watching()
    caller = make(chat=chat, text="<think>hm</think>" + CALLS, dialect=HERMES)
    output = told(caller, tools=OFFERED)["output"]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "4"}
        for item in output
        if item["type"] == "function_call"
    ]
    reply = caller.post(PATH, {"input": [ASK, *output, *results], "tools": OFFERED})
    assert reply.status == 200 and IGNORED_HEADER not in reply.headers
    assert chat.messages[1]["reasoning_content"] == "hm" and len(chat.messages[1]["tool_calls"]) == 2


@pytest.mark.parametrize("written", ["{", "[1]", "ls"])
def test_a_call_that_a_model_wrote_badly_can_be_sent_back_too(make, written):
    """Whoever runs the tools tells the model; it would never hear of it if the conversation were refused."""
    chat = Watching()
    told(make(chat=chat, text="x"), input=[ASK, {**CALL, "arguments": written}, RESULT])
    assert chat.messages[1]["tool_calls"][0]["function"]["arguments"] == {"input": written}


SPACE = {
    "type": "namespace",
    "name": "shell",
    "description": "A shell.",
    "tools": [{"type": "function", "name": "run"}, custom()],
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("added", "spoken"), [(False, "exec"), (True, "exec"), (False, "shell.exec")])
def test_tools_of_a_namespace_are_told_with_both_names(make, stream, added, spoken):
    chat = Watching()
    text = custom_call('{"input": "ls"}').replace("exec", spoken)
    fields = {"tools": [SPACE]}
    if added:
        fields = {"input": [{"type": "additional_tools", "role": "developer", "tools": [SPACE]}, ASK]}
    response = told(make(chat=chat, text=text, dialect=HERMES), stream, **fields)
    [call] = response["output"]
    assert (call["type"], call["name"], call["namespace"], call["input"]) == ("custom_tool_call", "exec", "shell", "ls")
    shown = [tool["function"] for tool in chat.tools]
    assert [tool["name"] for tool in shown] == ["run", "exec"]
    assert shown[0]["description"] == "A shell." and shown[1]["description"] == "Runs code."
    assert response["tools"] == ([] if added else [SPACE])


def test_tools_of_one_name_have_their_namespaces_before_it(make):
    chat = Watching()
    other = {"type": "namespace", "name": "web", "tools": [{"type": "function", "name": "run"}]}
    items = [ASK, {**CALL, "name": "run", "namespace": "web"}, RESULT]
    text = '<tool_call>{"name": "web.run", "arguments": {}}</tool_call>'
    response = told(make(chat=chat, text=text, dialect=HERMES), tools=[SPACE, other], input=items)
    assert [tool["function"]["name"] for tool in chat.tools] == ["shell.run", "exec", "web.run"]
    assert chat.messages[1]["tool_calls"][0]["function"]["name"] == "web.run"
    assert [(item["name"], item["namespace"]) for item in response["output"]] == [("run", "web")]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input": ""}', ""),
        ('{"input": "a\\\\b\\u00e9\\/"}', "a\\bé/"),
        ('{ "input" : "a" }', "a"),
        ('{"code": "a"}', '{"code": "a"}'),
        ('{"input": 5}', '{"input": 5}'),
        ('{"input": "\\ud83d!"}', "\ufffd!"),
    ],
)
@pytest.mark.parametrize("per_delta", [1, 5, 100])
def test_the_input_of_a_custom_tool_is_a_text(make, arguments, text, per_delta):
    caller = make(text=custom_call(arguments), dialect=HERMES, per_delta=per_delta)
    for stream in (False, True):
        assert said(told(caller, stream, tools=[custom()])) == [("custom_tool_call", "exec", text)]


def test_a_grammar_is_told_to_the_model_and_that_it_is_not_held_to_to_the_client(make):
    chat = Watching()
    tool = custom(format={"type": "grammar", "syntax": "lark", "definition": "start: /a+/"})
    reply = make(chat=chat, text="x", dialect=HERMES).post(PATH, {"input": "hi", "tools": [tool]})
    assert reply.headers[IGNORED_HEADER] == "tools[0].format"
    assert "start: /a+/" in chat.tools[0]["function"]["description"]


def test_a_regular_expression_is_held_to_beside_functions_that_are_not_strict(make):
    caller = make(text=custom_call('{"input": "aa"}'), dialect=HERMES)
    tool = custom(format={"type": "grammar", "syntax": "regex", "definition": "a+"})
    reply = caller.post(PATH, {"input": "hi", "tools": [*OFFERED, tool]})
    assert reply.status == 200 and IGNORED_HEADER not in reply.headers
    assert "a+" in caller.engine.submitted[0].guide.grammar


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    "form", [{"type": "json_object"}, {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}]
)
def test_a_form_of_the_text_is_held_to_and_told_again(make, form):
    caller = make(text='{"a": 1}')
    response = told(caller, text={"format": form})
    assert (
        "%json" in caller.engine.submitted[0].guide.grammar or "json_schema" in caller.engine.submitted[0].guide.grammar
    )
    assert response["text"]["format"].items() >= form.items()


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"weather", "now", "run", "exec"}),
        ({"type": "function", "name": "now"}, {"now"}),
        ({"type": "custom", "name": "exec"}, {"exec"}),
        ({"type": "custom", "name": "shell.exec"}, {"exec"}),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "weather"}, {"type": "function", "name": "now"}],
            },
            {"weather", "now"},
        ),
    ],
)
def test_a_choice_of_tools_allows_those_alone(make, choice, names):
    caller = make(text="x", dialect=HERMES)
    told(caller, tools=[*OFFERED, SPACE], tool_choice=choice)
    grammar = caller.engine.submitted[0].guide.grammar
    every = ("weather", "now", "run", "exec")
    assert {name for name in every if f'\\"{name}\\' in grammar or f"{name}\\\\" in grammar} == names


def test_what_is_not_there_is_skipped_and_told(make):
    items = [
        ASK,
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
        {"type": "mystery", "role": 5},
    ]
    items[0] = {**ASK, "mood": 1}
    body = {
        "input": [*items, {"type": "reasoning", "encrypted_content": "x", "summary": []}],
        "tools": [*OFFERED, {"type": "web_search"}, {"type": "mcp", "server_label": "s"}],
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto", "context": "all_turns"},
        "include": ["reasoning.encrypted_content", "file_search_call.results"],
        "client_metadata": {"a": "b"},
        "what": 1,
    }
    reply = make(text="x", dialect=HERMES).post(PATH, body)
    assert reply.status == 200, reply.body
    assert set(reply.headers[IGNORED_HEADER].split(",")) == {
        "what",
        "tools[2].web_search",
        "tools[3].mcp",
        "input[].mood",
        "input[1].web_search_call",
        "input[2].mystery",
        "input[].encrypted_content",
        "include.file_search_call.results",
        "text.verbosity",
        "reasoning.effort",
    }


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"previous_response_id": "resp_1"}, "unsupported", "previous_response_id"),
        ({"conversation": "conv_1"}, "unsupported", "conversation"),
        ({"background": True}, "unsupported", "background"),
        ({"truncation": "auto"}, "unsupported", "truncation"),
        ({"prompt": {"id": "pmpt_1"}}, "unsupported", "prompt"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "unsupported", "input[0].type"),
        ({"input": [ASK, {"type": "compaction", "encrypted_content": "x"}]}, "unsupported", "input[1].type"),
        ({"input": []}, "wrong_api_format", "input"),
        ({"input": [5]}, "wrong_api_format", "input[0]"),
        ({"input": [{}]}, "wrong_api_format", "input[0].type"),
        ({"input": [{"role": "user"}]}, "wrong_api_format", "input[0].content"),
        ({"input": [{"role": 5, "content": "x"}]}, "wrong_api_format", "input[0].role"),
        ({"input": [{"role": "king", "content": "x"}]}, "wrong_api_format", "input[0].role"),
        ({"input": [{"role": "user", "content": [{"text": 5}]}]}, "wrong_api_format", "input[0].content[0].text"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "wrong_api_format",
            "input[0].content[0].text",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "unsupported",
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "unsupported",
            "input[0].content[0].image_url",
        ),
        ({"input": [{**CALL, "arguments": {}}]}, "wrong_api_format", "input[0].arguments"),
        ({"input": [ASK, CALL]}, "wrong_api_format", "input[1].call_id"),
        ({"input": [CALL, RESULT, CALL, RESULT], "instructions": "x"}, "wrong_api_format", "input[2].call_id"),
        ({"input": [ASK, RESULT]}, "wrong_api_format", "input[1].call_id"),
        ({"input": [CALL, {**RESULT, "output": [{"type": "input_image"}]}]}, "unsupported", "input[1].output[0].type"),
        ({"max_output_tokens": 0.5}, "wrong_api_format", "max_output_tokens"),
        ({"max_output_tokens": 5000}, "context_length_exceeded", "max_output_tokens"),
        ({"input": "x" * 5000}, "context_length_exceeded", "input"),
        ({"temperature": 9}, "wrong_api_format", "temperature"),
        ({"reasoning": {"effort": "x"}}, "wrong_api_format", "reasoning.effort"),
        ({"text": {"format": {"type": "x"}}}, "wrong_api_format", "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "wrong_api_format", "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "strange"}, "strict": True}}},
            "wrong_api_format",
            "text.format.schema.type",
        ),
        ({"tools": [5]}, "wrong_api_format", "tools[0]"),
        ({"tools": [{}]}, "wrong_api_format", "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "wrong_api_format", "tools[0].name"),
        ({"tools": [{"type": "web_search"}, {"type": "function", "name": "a b"}]}, "wrong_api_format", "tools[1].name"),
        ({"tools": [*OFFERED, OFFERED[0]]}, "wrong_api_format", "tools[2].name"),
        ({"tools": [{**OFFERED[0], "parameters": {"type": "array"}}]}, "wrong_api_format", "tools[0].parameters"),
        (
            {"tools": [{**SPACE, "tools": [{"type": "function", "name": ""}]}]},
            "wrong_api_format",
            "tools[0].tools[0].name",
        ),
        ({"tools": [custom(format={"type": "x"})]}, "wrong_api_format", "tools[0].format.type"),
        ({"tools": [custom(format={"type": "grammar"})]}, "wrong_api_format", "tools[0].format.syntax"),
        (
            {"tools": [custom(format={"type": "grammar", "syntax": "lark"})]},
            "wrong_api_format",
            "tools[0].format.definition",
        ),
        (
            {"tools": [custom(format={"type": "grammar", "syntax": "regex", "definition": "(?=a)"})]},
            "wrong_api_format",
            "tools[0].format",
        ),
        ({"tool_choice": "required"}, "wrong_api_format", "tool_choice"),
        ({"tools": OFFERED, "tool_choice": {"type": "function", "name": "no"}}, "wrong_api_format", "tool_choice"),
        ({"tools": OFFERED, "tool_choice": {"type": "web_search"}}, "unsupported", "tool_choice.type"),
        (
            {"tools": OFFERED, "tool_choice": {"type": "allowed_tools", "mode": "x"}},
            "wrong_api_format",
            "tool_choice.mode",
        ),
        ({"metadata": {"a": 1}}, "wrong_api_format", "metadata"),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_errors_name_the_members_that_were_sent(make, fields, code, param):
    found = refused(make(dialect=HERMES), **fields)
    assert found == (code, param)


def test_members_that_are_given_twice_are_refused_wherever_they_stand(caller):
    for raw, param in (
        (b'{"input":"a","input":"b"}', "input"),
        (b'{"input":[{"role":"user","content":"a","content":"b"}]}', "input[0].content"),
        (b'{"input":"a","tools":[{"type":"function","name":"a","name":"b"}]}', "tools[0].name"),
    ):
        error = caller.post(PATH, raw).json["error"]
        assert (error["param"], "twice" in error["message"]) == (param, True)


def test_the_length_of_a_prompt_is_told_without_running_it(caller):
    body = {"instructions": "be", "input": [{"role": "developer", "content": "a"}, {"role": "user", "content": "x"}]}
    reply = caller.post(f"{PATH}/input_tokens", body)
    assert reply.json == {"object": "response.input_tokens", "input_tokens": 33} and not caller.engine.submitted
    assert told(caller, **body)["usage"]["input_tokens"] == 33
    assert caller.post(f"{PATH}/input_tokens", {"input": []}).json["error"]["param"] == "input"


def test_large_conversations_are_answered_and_too_many_items_refused(make):
    items = [{"role": "user", "content": "x" * 100}] * 1000
    assert told(make(text="x", context=1 << 20), input=items)["status"] == "completed"
    assert refused(make(), input=[ASK] * 5000) == ("wrong_api_format", "input")
    assert refused(make(), tools=OFFERED * 500) == ("wrong_api_format", "tools")


def test_requests_are_counted(caller):
    told(caller)
    figures = caller("GET", "/metrics").body.decode()
    assert 'undiced_requests_total{code="200",path="/v1/responses"} 1.0' in figures


def test_line_ends_in_tools_that_were_sent_in_several_lines_break_no_event(make):
    body = json.dumps({"input": "hi", "stream": True, "tools": OFFERED}, indent=1).encode()
    response = response_of(events_of(make(text="x", dialect=HERMES).post(PATH, body).body))
    assert response["tools"] == OFFERED
