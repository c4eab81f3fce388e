"""Tools and thoughts over HTTP: what a scripted engine says, in the formats of several families, as clients get it.

The engine's tokens are scripted: no model said them. See `support.transcripts`.
"""

from __future__ import annotations

import json
import re

import pytest
from scripted import ByteTokenizer, Reply
from support.transcripts import TOOLS, TRANSCRIPTS, Letters, Marked

from undiced.text.formats import FORMATS, Dialect, dialect_of

HERMES = dialect_of('<tool_call>"name" <think></think>', ByteTokenizer())
OFFERED = [
    {"type": "function", "function": {"name": tool.name, "description": "d", "parameters": dict(tool.schema)}}
    for tool in TOOLS.values()
]
CALLS = TRANSCRIPTS["hermes"].text
ASK = {"role": "user", "content": "hi"}


def call(id_: str = "a", arguments: object = "{}") -> dict:
    function = {"name": "weather", "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id_, "type": "function", "function": function}]}


def result(id_: str = "a") -> dict:
    return {"role": "tool", "tool_call_id": id_, "content": "4"}


def message(reply: Reply) -> dict:
    """The one message of an answer; a stream's deltas are put together as clients do."""
    assert reply.status == 200, reply.body
    if not reply.headers["content-type"].startswith("text/event-stream"):
        choice = reply.json["choices"][0]
        return choice["message"] | {"finish_reason": choice["finish_reason"]}
    found: dict = {"role": None, "content": None}
    calls: dict[int, dict] = {}
    for event in reply.events[:-1]:
        choice = event["choices"][0]
        delta = choice["delta"]
        found["role"] = found["role"] or delta.get("role")
        for name in ("content", "reasoning"):
            if name in delta:
                found[name] = (found.get(name) or "") + delta[name]
        for one in delta.get("tool_calls", ()):
            assert one["type"] == "function"
            if one["index"] not in calls:
                assert one["index"] == len(calls) and one["id"] and one["function"]["name"]
                calls[one["index"]] = one
            else:
                assert "id" not in one and "name" not in one["function"]
                calls[one["index"]]["function"]["arguments"] += one["function"]["arguments"]
        found["finish_reason"] = choice["finish_reason"]
    if calls:
        found["tool_calls"] = [{k: v for k, v in one.items() if k != "index"} for one in calls.values()]
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("per_delta", [1, 7])
def test_calls_come_as_calls_and_text_as_text(make, stream, per_delta):
    caller = make(text=CALLS, dialect=HERMES, per_delta=per_delta)
    found = message(caller.chat(tools=OFFERED, stream=stream))
    assert (found["content"], found["finish_reason"]) == ("Let me see.", "tool_calls")
    told = [(one["function"]["name"], json.loads(one["function"]["arguments"])) for one in found["tool_calls"]]
    assert told == [("weather", {"city": "Paris", "days": 2}), ("now", {})]
    ids = {one["id"] for one in found["tool_calls"]}
    assert len(ids) == 2 and all(re.fullmatch("[A-Za-z0-9]{9}", one) for one in ids)


@pytest.mark.parametrize("stream", [False, True])
def test_calls_alone_leave_no_content(make, stream):
    caller = make(text=CALLS.partition("\n")[2], dialect=HERMES)
    assert message(caller.chat(tools=OFFERED, stream=stream))["content"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_without_tools_what_looks_like_a_call_is_text(make, stream):
    caller = make(text=CALLS, dialect=HERMES)
    for fields in ({}, {"tools": OFFERED, "tool_choice": "none"}):
        found = message(caller.chat(stream=stream, **fields))
        assert (found["content"], found["finish_reason"]) == (CALLS, "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_one_call_at_a_time_ends_the_answer(make, stream):
    caller = make(text=CALLS, dialect=HERMES)
    reply = caller.chat(tools=OFFERED, stream=stream, parallel_tool_calls=False)
    found = message(reply)
    assert [one["function"]["name"] for one in found["tool_calls"]] == ["weather"]
    assert found["finish_reason"] == "tool_calls"
    usage = (reply.events[-2] if stream else reply.json)["usage"]
    assert usage["completion_tokens"] == CALLS.index("}}") + 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_a_limit_cuts_says_so(make, stream):
    caller = make(text=CALLS, dialect=HERMES)
    found = message(caller.chat(tools=OFFERED, stream=stream, max_tokens=70))
    assert found["finish_reason"] == "length"
    assert found["tool_calls"][0]["function"]["arguments"].startswith('{"')


def test_several_choices_have_calls_of_their_own(make):
    caller = make(text=CALLS, dialect=HERMES)
    choices = caller.chat(tools=OFFERED, n=2).json["choices"]
    ids = [one["id"] for choice in choices for one in choice["message"]["tool_calls"]]
    assert len(set(ids)) == 4


def test_rows_of_calls_are_among_the_others(make):
    caller = make(text=CALLS, dialect=HERMES)
    choice = caller.chat(tools=OFFERED, logprobs=True).json["choices"][0]
    assert "".join(row["token"] for row in choice["logprobs"]["content"]) == CALLS
    rows = [
        row
        for event in caller.chat(tools=OFFERED, logprobs=True, stream=True).events[:-1]
        for row in (event["choices"][0]["logprobs"] or {"content": []})["content"]
    ]
    assert "".join(row["token"] for row in rows) == CALLS


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": OFFERED * 2}, "tools[2].function.name"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "f", "parameters": {"type": "array"}}}]}, "tools[0].function.parameters"),
        ({"tools": [{"function": {"name": "f", "strict": True}}, {"function": {"name": "g"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, "tool_choice"),
        ({"tools": OFFERED, "tool_choice": {"type": "function", "function": {"name": "no"}}}, "tool_choice"),
        ({"tools": OFFERED, "tool_choice": "must"}, "tool_choice"),
        ({"tools": OFFERED, "tool_choice": {"type": "custom"}}, "tool_choice"),
        ({"tools": OFFERED, "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice"),
        ({"messages": [result(), ASK]}, "messages[0].tool_call_id"),
        ({"messages": [call(), ASK]}, "messages[0].tool_calls[0].id"),
        ({"messages": [call()]}, "messages[0].tool_calls[0].id"),
        ({"messages": [call(), result("b")]}, "messages[1].tool_call_id"),
        ({"messages": [call(), result(), result()]}, "messages[2].tool_call_id"),
        ({"messages": [call(), result(), call(), result()]}, "messages[2].tool_calls[0].id"),
        ({"messages": [call(""), result("")]}, "messages[0].tool_calls[0].id"),
        ({"messages": [call(), {"role": "tool", "content": "4"}]}, "messages[1].tool_call_id"),
        ({"messages": [call(arguments="{"), result()]}, "messages[0].tool_calls[0].function.arguments"),
        ({"messages": [call(arguments="[1]"), result()]}, "messages[0].tool_calls[0].function.arguments"),
    ],
    ids=lambda value: str(value)[-50:],
)
def test_what_is_not_paired_or_not_there_is_refused_by_name(make, fields, param):
    reply = make(dialect=HERMES).chat(**fields)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "wrong_api_format", param)


def test_tools_that_are_no_functions_are_refused(make):
    error = make(dialect=HERMES).chat(tools=[{"type": "web_search"}]).json["error"]
    assert (error["code"], error["param"]) == ("unsupported", "tools[0].type")


def test_paired_calls_pass_whatever_their_order(make):
    both = call("a", {"city": "Paris"})
    both["tool_calls"] += call("b", "")["tool_calls"]
    reply = make(dialect=HERMES).chat(messages=[ASK, both, result("b"), result("a"), ASK])
    assert reply.status == 200, reply.body


def test_a_model_that_cannot_call_says_so_with_a_remedy(caller):
    error = caller.chat(tools=OFFERED).json["error"]
    assert (error["code"], error["param"]) == ("unsupported", "tools")
    assert "tool_choice 'none'" in error["message"]


def guide(caller, **fields):
    """What the engine is told of an answer's form, as the rules of its grammar."""
    assert caller.chat(**fields).status == 200
    found = caller.engine.submitted[-1].guide
    if found is None or not found.grammar:
        return None
    return json.loads(found.grammar)["grammars"]


def test_what_must_be_called_is_held_by_a_grammar(make):
    caller = make(dialect=dialect_of('<tool_call>"name"', ByteTokenizer()))
    assert guide(caller, tools=OFFERED) is None
    assert guide(caller, tools=OFFERED, tool_choice="none") is None
    rules = guide(caller, tools=OFFERED, tool_choice="required")[0]["lark_grammar"]
    assert rules.startswith("start: ") and "TEXT" not in rules and "weather" in rules and "now" in rules
    named = {"type": "function", "function": {"name": "now"}}
    rules = guide(caller, tools=OFFERED, tool_choice=named)[0]["lark_grammar"]
    assert "weather" not in rules
    allowed = {"mode": "auto", "tools": [named]}
    rules = guide(caller, tools=OFFERED, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert "TEXT" in rules[0]["lark_grammar"] and "weather" not in rules[0]["lark_grammar"]
    strict = [{"function": one["function"] | {"strict": True}} for one in OFFERED]
    assert "TEXT" in guide(caller, tools=strict)[0]["lark_grammar"]


def test_tools_and_a_schema_go_together(make):
    caller = make(dialect=dialect_of('<tool_call>"name"', ByteTokenizer()))
    form = {"type": "json_object"}
    rules, content = guide(caller, tools=OFFERED, response_format=form)
    assert rules["lark_grammar"].startswith('start: "<tool_call>" tail | @content') and content["name"] == "content"
    assert len(guide(caller, tools=OFFERED, response_format=form, tool_choice="required")) == 1


def test_a_schema_that_can_not_be_held_is_named_by_its_path(make):
    caller = make(dialect=HERMES)
    schema = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    error = caller.chat(tools=[tool], tool_choice="required").json["error"]
    assert error["param"] == "tools[0].function.parameters.properties.a.not"
    tool["function"].pop("strict")
    reply = caller.chat(tools=[tool], tool_choice="required")
    assert reply.status == 200
    assert "tools[0].function.parameters.properties.a.not" in reply.headers["x-undiced-ignored-fields"]


THOUGHT = "<think>\nHm.\n</think>\n\nFour."


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", [None, "none", "parsed", "text_parsed", "hidden", "raw"])
def test_thoughts_are_told_as_asked(make, stream, form):
    caller = make(text=THOUGHT, dialect=HERMES)
    reply = caller.chat(stream=stream, logprobs=True, **({} if form is None else {"reasoning_format": form}))
    found = message(reply)
    raw, hidden = form == "raw", form == "hidden"
    assert found["content"] == (THOUGHT if raw else "Four.")
    assert found.get("reasoning") == (None if raw or hidden else "Hm.")
    choices = [event["choices"][0] for event in (reply.events[:-1] if stream else [reply.json])]
    rows = {
        name: "".join(row["token"] for choice in choices for row in (choice.get(name) or {"content": []})["content"])
        for name in ("logprobs", "reasoning_logprobs")
    }
    thought, said = "<think>\nHm.\n</think>", "\n\nFour."
    if form == "parsed":
        assert rows == {"logprobs": said, "reasoning_logprobs": thought}
    else:
        assert rows == {"logprobs": said if hidden else THOUGHT, "reasoning_logprobs": ""}
    usage = (reply.events[-2] if stream else reply.json)["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == len("\nHm.\n</think>") + 1
    assert usage["completion_tokens"] == len(THOUGHT) + 1


def test_a_family_whose_thoughts_are_usually_raw(make):
    caller = make(text=THOUGHT, dialect=dialect_of("</think>", ByteTokenizer(), raw=True))
    assert message(caller.chat())["content"] == THOUGHT
    assert message(caller.chat(response_format={"type": "json_object"}))["content"] == "Four."
    assert message(caller.chat(reasoning_format="parsed"))["reasoning"] == "Hm."


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"reasoning_format": "loud"}, "reasoning_format", "wrong_api_format"),
        (
            {"reasoning_format": "raw", "response_format": {"type": "json_object"}},
            "reasoning_format",
            "wrong_api_format",
        ),
        ({"reasoning_format": "parsed", "include_reasoning": False}, "include_reasoning", "wrong_api_format"),
        ({"reasoning_max_tokens": 3, "thinking_budget": 4}, "thinking_budget", "wrong_api_format"),
        ({"reasoning_max_tokens": -2}, "reasoning_max_tokens", "wrong_api_format"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1.5}}, "thinking.budget_tokens", "wrong_api_format"),
        (
            {"clear_thinking": True, "thinking": {"type": "enabled", "clear_thinking": False}},
            "thinking.clear_thinking",
            "wrong_api_format",
        ),
    ],
    ids=str,
)
def test_what_is_said_about_thoughts_must_make_sense(make, fields, param, code):
    error = make(dialect=HERMES).chat(**fields).json["error"]
    assert (error["param"], error["code"]) == (param, code)


def test_a_budget_reaches_the_engine_and_is_refused_where_nobody_thinks(make, caller):
    assert caller.chat(reasoning_max_tokens=3).json["error"]["param"] == "reasoning_max_tokens"
    assert caller.chat(reasoning_max_tokens=-1).status == 200
    thinker = make(dialect=HERMES)
    for fields in (
        {"reasoning_max_tokens": 3},
        {"thinking_token_budget": 3.0},
        {"reasoning": {"max_tokens": 3}},
        {"thinking": {"type": "enabled", "budget_tokens": 3}, "thinking_budget": 3},
    ):
        assert thinker.chat(**fields).status == 200
        found = thinker.engine.submitted[-1].guide
        assert (found.budget, bytes(found.think_start), bytes(found.think_end)) == (3, b"<think>", b"</think>")


def test_an_answer_that_thinks_can_be_told_to_stop_thinking(make):
    """The stream is read up to a thought, then another request ends it."""
    caller = make(dialect=HERMES, text="<think>Hm", hang_at=9)

    async def walk() -> tuple[list, Reply, Reply]:
        import asyncio

        body = {"model": "m", "messages": [ASK], "stream": True}
        running = asyncio.create_task(caller.call("POST", "/v1/chat/completions", body, leave_after=5))
        while not caller.service.answers or not any(
            choice.fold.thinking for choice in next(iter(caller.service.answers.values())).choices
        ):
            await asyncio.sleep(0.005)
        [name] = caller.service.answers
        told = [
            await caller.call("POST", "/v1/chat/completions/control", {"id": id_, "action": action})
            for id_, action in ((name, "reasoning_end"), ("chatcmpl-none", "reasoning_end"), (name, "dance"))
        ]
        caller.engine.cancelled.append(f"{name}.0")
        await running
        return told

    import asyncio

    ended, unknown, strange = asyncio.run(walk())
    assert (ended.status, ended.json["ended"], len(caller.engine.thoughts_ended)) == (200, 1, 1)
    assert (unknown.status, unknown.json["error"]["param"]) == (404, "id")
    assert (strange.status, strange.json["error"]["param"]) == (400, "action")
    assert caller.service.answers == {}


def test_without_a_format_there_is_one_channel(caller: object) -> None:
    assert Dialect().channels(TOOLS, None) is None  # type: ignore[arg-type]


def test_what_comes_between_a_thought_and_what_is_held_to_a_form(make):
    """Of a family of channels: a document is said on its channel, a call on another."""
    tokenizer = Letters(Marked(FORMATS["harmony"].MARKS))
    dialect = dialect_of("", tokenizer, tools="harmony")
    caller = make(dialect=dialect, text="x")
    caller.deployment.tokenizer = tokenizer

    def then(**fields: object) -> str:
        assert caller.chat(**fields).status == 200
        return "".join(map(tokenizer.token_text, caller.engine.submitted[-1].guide.then))

    form = {"response_format": {"type": "json_object"}}
    assert then() == ""
    assert then(**form) == "<|start|>assistant<|channel|>final<|message|>"
    assert then(**form, tools=OFFERED) == then(tools=OFFERED, tool_choice="required") == "<|start|>assistant"
    thinker = make(dialect=HERMES)
    assert thinker.chat(**form).status == 200
    assert bytes(thinker.engine.submitted[-1].guide.then) == b"\n\n"
