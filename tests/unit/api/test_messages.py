"""The Messages API over a scripted engine: what its requests mean, how answers are told, whole and streamed, and how
errors name what was sent.

The engine's tokens are scripted: no model said them. See `support.transcripts`.
"""

from __future__ import annotations

import dataclasses

import pytest
from scripted import ByteTokenizer, LineChat
from support.message_streams import events_of, message_of
from support.transcripts import TOOLS, TRANSCRIPTS, Letters, Marked

from undiced.api.call import IGNORED_HEADER
from undiced.core.errors import EngineError, QueueFullError, UnavailableError
from undiced.text.formats import FORMATS, THOUGHTS, dialect_of

HERMES = dialect_of('<tool_call>"name" <think></think>', ByteTokenizer())
PLAIN_THINKING = dialect_of("<think></think>", ByteTokenizer())
OFFERED = [{"name": tool.name, "description": "d", "input_schema": dict(tool.schema)} for tool in TOOLS.values()]
ASK = {"role": "user", "content": "hi"}
PATH, COUNT = "/v1/messages", "/v1/messages/count_tokens"
USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}


def body(**fields: object) -> dict:
    return {"model": "m", "max_tokens": 500, "messages": [ASK], **fields}


def told(caller, stream: bool = False, **fields: object) -> dict:
    """The message of an answer."""
    reply = caller.post(PATH, body(stream=stream, **fields))
    assert reply.status == 200, reply.body
    if not stream:
        return reply.json
    message = message_of(events_of(reply.body))
    assert message["usage"]["input_tokens"] + message["usage"]["cache_read_input_tokens"] > 0
    return message


def said(message: dict) -> list[tuple]:
    """What is in a message, without ids."""
    shown = {"text": ("text",), "thinking": ("thinking",), "tool_use": ("name", "input")}
    return [(block["type"], *(block[name] for name in shown[block["type"]])) for block in message["content"]]


def error(reply, status: int, kind: str) -> str:
    """The message of an error in this API's shape."""
    found = reply.json
    assert (reply.status, found.keys(), found["type"]) == (status, {"type", "error", "request_id"}, "error")
    assert found["error"].keys() == {"type", "message"} and found["error"]["type"] == kind
    assert found["request_id"] == reply.headers["request-id"] == reply.headers["x-request-id"]
    return found["error"]["message"]


def refused(caller, **fields: object) -> str:
    message = error(caller.post(PATH, body(**fields)), 400, "invalid_request_error")
    assert not caller.engine.submitted
    return message


class Watching(LineChat):
    """Keeps what it was handed."""

    def __init__(self) -> None:
        self.messages: list = []
        self.options = None

    def pieces(self, messages, options=None):
        self.messages, self.options = messages, options
        return super().pieces(messages, options)


@pytest.fixture
def watched(make):
    chat = Watching()
    caller = make(chat=chat, text="Hi", dialect=HERMES)
    return caller, chat


def means(watched, **fields: object) -> list:
    caller, chat = watched
    reply = caller.post(PATH, body(**fields))
    assert reply.status == 200, reply.body
    return chat.messages


def test_a_plain_answer(caller):
    found = told(caller, system="Be brief.")
    assert found["id"].startswith("msg_") and found.pop("id")
    assert found == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": caller.engine.text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": len("system: Be brief.\nuser: hi\nassistant: ") - 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 3,
            "output_tokens": len(caller.engine.text.encode()) + 1,
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "standard",
        },
    }


@pytest.mark.parametrize("per_delta", [1, 1000])
@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_streams_keep_the_order_and_say_what_whole_answers_say(make, name, per_delta):
    script = TRANSCRIPTS[name]
    row = THOUGHTS.get(script.thoughts)
    marks = [*FORMATS[script.format].MARKS, *((row.start, row.end) if row else ())]
    tokenizer = Letters(Marked(marks))
    caller = make(script=lambda _: tokenizer.encode(script.text, special=True), per_delta=per_delta)
    dialect = dialect_of("", tokenizer, tools=script.format, thoughts=script.thoughts)
    caller.deployment.tokenizer, caller.deployment.dialect = tokenizer, dialect
    whole, stream = [told(caller, stream, tools=OFFERED) for stream in (False, True)]
    assert said(whole) == said(stream)
    assert (whole["stop_reason"], whole["usage"]) == (stream["stop_reason"], stream["usage"])


@pytest.mark.parametrize("stream", [False, True])
def test_text_and_calls_have_blocks_of_their_own(make, stream):
    found = told(make(text=TRANSCRIPTS["hermes"].text, dialect=HERMES), stream, tools=OFFERED)
    assert said(found) == [
        ("text", "Let me see."),
        ("tool_use", "weather", {"city": "Paris", "days": 2}),
        ("tool_use", "now", {}),
    ]
    assert found["stop_reason"] == "tool_use"
    ids = {block["id"] for block in found["content"][1:]}
    assert len(ids) == 2 and all(one.startswith("toolu_") for one in ids)


@pytest.mark.parametrize("stream", [False, True])
def test_a_thought_has_a_signature_and_comes_back(make, stream):
    caller = make(text="<think>Hm.</think>4", dialect=HERMES)
    found = told(caller, stream)
    assert said(found) == [("thinking", "Hm."), ("text", "4")]
    assert found["content"][0]["signature"]
    assert found["usage"]["output_tokens_details"]["thinking_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("display", ["omitted", "summarized"])
def test_a_thought_that_is_not_shown_comes_back_in_its_signature(make, stream, display):
    chat = Watching()
    caller = make(text="<think>Hm 🎉.</think>4", dialect=HERMES, chat=chat)
    found = told(caller, stream, thinking={"type": "adaptive", "display": display})
    assert said(found) == [("thinking", "" if display == "omitted" else "Hm 🎉."), ("text", "4")]
    told(caller, messages=[ASK, {"role": "assistant", "content": found["content"]}, ASK])
    assert chat.messages[1]["reasoning_content"] == "Hm 🎉."


def test_signatures_of_others_carry_nothing(watched):
    for signature in ("", "x", "undiced.", "undiced.!", "undiced./w==", "ErUB"):
        block = {"type": "thinking", "thinking": "", "signature": signature}
        text = {"type": "text", "text": "4"}
        found = means(watched, messages=[ASK, {"role": "assistant", "content": [block, text]}, ASK])
        assert "reasoning_content" not in found[1]


@pytest.mark.parametrize("stream", [False, True])
def test_why_an_answer_ended(make, stream):
    caller = make(context=100, dialect=HERMES)
    reasons = {}
    for name, fields in {
        "end": {},
        "most": {"max_tokens": 3},
        "string": {"stop_sequences": ["never", "there"]},
        "name": {"stop_sequences": ["never", "<eos>"]},
        "context": {"max_tokens": 50_000, "messages": [{"role": "user", "content": "x" * 70}]},
    }.items():
        found = told(caller, stream, **fields)
        reasons[name] = (found["stop_reason"], found["stop_sequence"])
    assert reasons == {
        "end": ("end_turn", None),
        "most": ("max_tokens", None),
        "string": ("stop_sequence", "there"),
        "name": ("stop_sequence", "<eos>"),
        "context": ("model_context_window_exceeded", None),
    }


def test_a_call_that_a_limit_cuts_has_no_arguments_when_whole(make):
    found = told(make(text=TRANSCRIPTS["hermes"].text, dialect=HERMES), tools=OFFERED, max_tokens=70)
    assert (found["content"][-1]["input"], found["stop_reason"]) == ({}, "max_tokens")


def test_an_answer_of_nothing_has_no_block(make):
    for stream in (False, True):
        found = told(make(text=""), stream)
        assert (found["content"], found["stop_reason"]) == ([], "end_turn")


def test_a_silent_stream_begins_and_then_pings(make):
    from undiced.api.settings import Settings

    caller = make(settings=Settings(keepalive_s=0.02), text="ab", delay_s=0.2)
    events = events_of(caller.post(PATH, body(stream=True)).body)
    assert [name for name, _ in events[:2]] == ["message_start", "ping"]
    assert said(message_of(events)) == [("text", "ab")]


def test_a_stream_that_fails_ends_with_an_error(make):
    caller = make(error=EngineError("It broke."), fail_at=2)
    events = events_of(caller.post(PATH, body(stream=True)).body)
    assert [name for name, _ in events].count("content_block_delta") == 2
    name, data = events[-1]
    assert (name, data["error"]) == ("error", {"type": "api_error", "message": "It broke."})
    assert data["request_id"].startswith("req_")


@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_the_shape_and_the_type_of_their_status(make, stream):
    found = make(error=QueueFullError("Full.", retry_after_s=3))
    reply = found.post(PATH, body(stream=stream))
    assert error(reply, 429, "rate_limit_error") == "Full." and reply.headers["retry-after"] == "3"
    caller = make(error=UnavailableError("Not now."))
    assert error(caller.post(PATH, body(stream=stream)), 503, "overloaded_error") == "Not now."
    caller = make(error=EngineError("It broke."))
    assert error(caller.post(PATH, body(stream=stream)), 500, "api_error") == "It broke."


def test_errors_before_the_endpoint_have_that_shape_on_these_paths_alone(make):
    from undiced.api.settings import Settings

    caller = make(settings=Settings(api_key="k"))
    for path in (PATH, COUNT):
        assert "No API key" in error(caller.post(path, body()), 401, "authentication_error")
        error(caller.post(path, body(model="other"), headers={"x-api-key": "k"}), 404, "not_found_error")
        error(caller("GET", path, headers={"authorization": "Bearer k"}), 405, "invalid_request_error")
        error(caller.post(path, b"x" * (5 << 20), headers={"x-api-key": "k"}), 413, "request_too_large")
    assert "code" in caller.post("/v1/chat/completions", {}).json["error"]


def test_counts_what_a_message_would_take(caller):
    fields = {"system": "Be brief.", "messages": [ASK]}
    count = caller.post(COUNT, fields, query=b"beta=true")
    assert (count.status, count.json) == (200, {"input_tokens": len("system: Be brief.\nuser: hi\nassistant: ")})
    assert IGNORED_HEADER not in count.headers and not caller.engine.submitted
    usage = told(caller, **fields)["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == count.json["input_tokens"]


def test_a_conversation_means_what_a_chat_means(watched):
    found = means(
        watched,
        system=[{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "What?"}]},
            {"role": "system", "content": "Now."},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "Let me see."},
                    USE,
                    USE | {"id": "toolu_2", "name": "now", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    RESULT | {"cache_control": {"type": "ephemeral"}},
                    RESULT | {"tool_use_id": "toolu_2", "content": [{"type": "text", "text": "5"}], "is_error": False},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
        tools=OFFERED,
    )

    def text(*texts: str) -> list[dict]:
        return [{"type": "text", "text": one} for one in texts]

    def call(id_: str, name: str, arguments: dict) -> dict:
        return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}

    calls = [call("1", "weather", {"city": "Paris"}), call("2", "now", {})]
    assert found == [
        {"role": "system", "content": text("a", "b")},
        {"role": "user", "content": text("What?")},
        {"role": "system", "content": "Now."},
        {
            "role": "assistant",
            "content": text("Let me see."),
            "tool_calls": calls,
            "reasoning_content": "Hm.",
        },
        {"role": "tool", "content": "4", "tool_call_id": "1"},
        {"role": "tool", "content": text("5"), "tool_call_id": "2"},
        {"role": "user", "content": text("And?")},
    ]


def test_a_failed_tool_that_says_nothing_says_that_it_failed(watched):
    turn = {"role": "assistant", "content": [USE]}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True}
    found = means(watched, messages=[ASK, turn, {"role": "user", "content": [result]}])
    assert found[-1]["content"] == "error"
    assert found[1]["content"] is None


def test_an_answer_goes_on_with_what_the_assistant_began(watched):
    means(watched, messages=[ASK, {"role": "assistant", "content": "It is"}])
    assert watched[1].options.continue_final_message
    means(watched)
    assert not watched[1].options.continue_final_message


@pytest.mark.parametrize(
    ("choice", "shown", "forced"),
    [("auto", 2, False), ("any", 2, True), ("tool", 2, True), ("none", 0, False)],
)
def test_choices_of_tools(make, choice, shown, forced):
    chat = Watching()
    caller = make(text=TRANSCRIPTS["hermes"].text, dialect=HERMES, chat=chat)
    wire = {"type": choice} | ({"name": "now"} if choice == "tool" else {})
    found = told(caller, tools=OFFERED, tool_choice=wire | {"disable_parallel_tool_use": True})
    assert len(chat.options.tools) == shown
    assert (caller.engine.submitted[0].guide is not None and bool(caller.engine.submitted[0].guide.grammar)) == forced
    assert len([one for one in found["content"] if one["type"] == "tool_use"]) == bool(shown)


def test_what_thinking_means(make):
    chat = Watching()
    caller = make(chat=chat, text="Hi", dialect=PLAIN_THINKING)
    caller.deployment.card = dataclasses.replace(caller.deployment.card, efforts=("low", "high"))

    def asked(**fields: object) -> tuple:
        assert caller.post(PATH, body(**fields)).status == 200
        guide = caller.engine.submitted[-1].guide
        return chat.options.thinking.on, chat.options.thinking.effort, None if guide is None else guide.budget

    assert asked() == (None, None, -1)
    assert asked(thinking={"type": "adaptive", "display": None}, output_config={"effort": "high"})[:2] == (None, "high")
    assert asked(thinking={"type": "enabled", "budget_tokens": 2000}) == (True, None, 2000)
    assert asked(thinking={"type": "disabled"}, output_config={"effort": "high"})[:2] == (False, None)


def test_a_model_that_does_not_think_says_that_it_heard_no_effort(caller):
    reply = caller.post(PATH, body(thinking={"type": "adaptive"}, output_config={"effort": "high"}))
    assert (reply.status, reply.headers[IGNORED_HEADER]) == (200, "output_config.effort")


def test_what_is_skipped_is_listed(make):
    caller = make(text="Hi", dialect=HERMES)
    reply = caller.post(
        PATH,
        body(
            tools=[{"type": "web_search_20260101", "name": "web_search", "max_uses": 3}, *OFFERED],
            context_management={"edits": [{"type": "clear_thinking_20251015"}]},
            messages=[ASK, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}, ASK],
        ),
    )
    assert reply.status == 200, reply.body
    assert set(reply.headers[IGNORED_HEADER].split(",")) == {
        "context_management",
        "tools[].max_uses",
        "tools[0].web_search_20260101",
        "messages[1].content[0].redacted_thinking",
    }


def test_a_coding_agent_is_understood(watched):
    """The shape of what Claude Code 2.1 sends."""
    cached = {"cache_control": {"type": "ephemeral"}}
    caller, chat = watched
    reply = caller.post(
        PATH,
        body(
            max_tokens=32_000,
            stream=True,
            system=[{"type": "text", "text": text} | cached for text in ("You are an agent.", "Rules.", "Place.")],
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "Fix it."} | cached]},
                {"role": "system", "content": "Tools may be slow."},
            ],
            tools=[one | {"eager_input_streaming": True} for one in OFFERED],
            thinking={"type": "adaptive", "display": "omitted"},
            output_config={"effort": "high"},
            context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            metadata={"user_id": "x"},
        ),
        query=b"beta=true",
        headers={"anthropic-version": "2023-06-01", "anthropic-beta": "a-2025-01-01,b-2026-01-01"},
    )
    assert said(message_of(events_of(reply.body))) == [("text", "Hi")]
    assert set(reply.headers[IGNORED_HEADER].split(",")) == {"context_management", "output_config.effort"}
    assert [message["role"] for message in chat.messages] == ["system", "user", "system"]


def test_a_document_by_schema(make):
    caller = make(text='{"a":1}')
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    told(caller, output_config={"format": {"type": "json_schema", "schema": schema}})
    assert '"a"' in caller.engine.submitted[0].guide.grammar


def assistant(*blocks: dict) -> list[dict]:
    return [ASK, {"role": "assistant", "content": list(blocks)}, ASK]


def user(*blocks: dict) -> list[dict]:
    return [{"role": "user", "content": list(blocks)}]


BAD_SCHEMA = {"type": "object", "properties": {"a": {"if": {}}}}
REFUSALS = {  # the beginning of the message, and the request
    "messages is empty.": {"messages": []},
    "messages[0].role must be": {"messages": [{"role": "tool", "content": "x"}]},
    "messages[0].content is required": {"messages": [{"role": "user"}]},
    "messages[0].content[0].text is required": {"messages": user({"type": "text"})},
    "messages[0].content[0]: content of type 'image' is not": {"messages": user({"type": "image", "source": {}})},
    "messages[0].content[1]: content of type 'document' is not": {
        "messages": user({"type": "text", "text": "x"}, {"type": "document", "source": {}})
    },
    "messages[0].content[0].content[0]: content of type 'image'": {
        "messages": user(RESULT | {"content": [{"type": "image", "source": {}}]})
    },
    "messages[0].content[0].tool_use_id: no call before it": {"messages": user(RESULT)},
    "messages[0].content[0]: a message of the role user has no tool_use": {"messages": user(USE)},
    "messages[1].content[0]: a message of the role assistant has no tool_result": {"messages": assistant(RESULT)},
    "messages[1].content[0].id: the call '1' has no result. Send its result, with that tool_use_id": {
        "messages": assistant(USE)
    },
    "messages[1].content[1].id: '1' is used twice": {"messages": assistant(USE, USE)},
    "messages[1].content[0].input is required": {"messages": assistant({"type": "tool_use", "id": "1", "name": "f"})},
    "messages[0].content[0].input does not belong": {"messages": user({"type": "text", "text": "x", "input": {}})},
    "system[0]: content of type 'image'": {"system": [{"type": "image"}]},
    "max_tokens must be between": {"max_tokens": -2},
    "max_tokens is required": {"max_tokens": ...},
    "stop_sequences has 5 strings": {"stop_sequences": list("abcde")},
    "stop_sequences contains an empty string": {"stop_sequences": [""]},
    "temperature must be between": {"temperature": 3},
    "thinking.type must be one of": {"thinking": {"type": "between_tools"}},
    "thinking.display must be": {"thinking": {"type": "adaptive", "display": "x"}},
    "thinking.budget_tokens belongs to": {"thinking": {"type": "adaptive", "budget_tokens": 9}},
    "thinking.budget_tokens must be": {"thinking": {"type": "enabled", "budget_tokens": -9}},
    "output_config.effort must be one of": {"output_config": {"effort": "none"}},
    "output_config.format.type must be": {"output_config": {"format": {"type": "json_object"}}},
    "output_config.format.schema is required": {"output_config": {"format": {"type": "json_schema"}}},
    "output_config.format.schema.properties.a.if cannot": {
        "output_config": {"format": {"type": "json_schema", "schema": BAD_SCHEMA}}
    },
    "tools[0].name is required": {"tools": [{"input_schema": {}}]},
    "tools[0].input_schema is required": {"tools": [{"name": "f"}]},
    "tools[0].input_schema must be the schema of an object": {
        "tools": [{"name": "f", "input_schema": {"type": "string"}}]
    },
    "tools[1].name: there are two tools": {"tools": [OFFERED[0], OFFERED[0]]},
    "tools[1].name must be 1 to 128": {"tools": [{"type": "bash_20250124"}, {"name": "ü", "input_schema": {}}]},
    "tools[1].input_schema.properties.a.if cannot": {
        "tools": [{"type": "bash_20250124"}, {"name": "f", "input_schema": BAD_SCHEMA, "strict": True}]
    },
    "tools[0].type 'function' is not supported": {"tools": [{"type": "function", "name": "f"}]},
    "tool_choice.type must be one of": {"tools": OFFERED, "tool_choice": {"type": "required"}},
    "tool_choice.name is required": {"tools": OFFERED, "tool_choice": {"type": "tool"}},
    "tool_choice.name belongs to": {"tools": OFFERED, "tool_choice": {"type": "any", "name": "now"}},
    "tool_choice: there is no tool 'x'": {"tools": OFFERED, "tool_choice": {"type": "tool", "name": "x"}},
    "tool_choice needs tools": {"tool_choice": {"type": "any"}},
    "mcp_servers is not supported": {"mcp_servers": [{}]},
    "container is not supported": {"container": "x"},
    "output_format is not supported: it has another name. Use output_config.format.": {"output_format": {}},
}


@pytest.mark.parametrize("start", REFUSALS)
def test_refusals_name_what_was_sent(make, start):
    caller = make(dialect=HERMES)
    fields = {name: value for name, value in body(**REFUSALS[start]).items() if value is not ...}
    message = error(caller.post(PATH, fields), 400, "invalid_request_error")
    assert message.startswith(start) and not caller.engine.submitted
    assert "function" not in message.replace("'function'", "") and "tool_call" not in message


def test_a_prompt_that_is_too_long_is_refused(make):
    message = refused(make(context=50), messages=[{"role": "user", "content": "x" * 80}])
    assert "maximum context length is 50 tokens" in message


def test_requests_are_counted(caller):
    told(caller)
    assert 'undiced_requests_total{code="200",path="/v1/messages"} 1' in caller("GET", "/metrics").body.decode()


def test_every_member_of_the_wire_is_in_the_table():
    from undiced.api.anthropic import schemas
    from undiced.api.anthropic.fields import TABLE

    kinds = {
        "": schemas.MessagesBody, "system[].": schemas.TextBlock, "messages[].": schemas.InputMessage,
        "messages[].content[].": schemas.Block, "messages[].content[].content[].": schemas.TextBlock,
        "tools[].": schemas.ClientTool, "tool_choice.": schemas.ToolUse, "thinking.": schemas.ThinkingConfig,
        "output_config.": schemas.OutputConfig, "output_config.format.": schemas.OutputFormat,
    }  # fmt: skip
    assert kinds.keys() == TABLE.keys()
    for place, kind in kinds.items():
        served = {line.name for line in TABLE[place] if line.fate.value == "served"}
        assert served == set(kind.__struct_fields__), place
