"""The official client's Responses API against the real HTTP server: scripted tokens in the formats of seven families,
the packaged model, and a tiny one with random weights that calls what it must.

No model said what the transcripts say: they are written after the formats' documents, see `support.transcripts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest
from folders import make_folder
from live import Server, running, scripted
from openai.types.responses import Response, ResponseFunctionToolCall
from pydantic import BaseModel, ConfigDict
from scripted_families import AGENT
from support.transcripts import TOOLS, TRANSCRIPTS

pytestmark = pytest.mark.wire
OFFERED = [
    {"type": "function", "name": tool.name, "description": "d", "parameters": dict(tool.schema), "strict": False}
    for tool in TOOLS.values()
]
NAMES = [name for name, of in TRANSCRIPTS.items() if not of.opened and name != "a call that is cut"]


@pytest.fixture(scope="module")
def families() -> Iterator[openai.OpenAI]:
    with scripted() as server, client_of(server) as client:
        yield client


def client_of(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with client_of(server) as found:
        yield found


def expected(name: str) -> list[tuple]:
    """What a transcript says: thoughts, text and calls, each together."""
    heard = TRANSCRIPTS[name].heard
    said = {kind: "".join(one[1] for one in heard if one[0] == kind) for kind in ("reasoning", "content")}
    calls = [(one[1], json.loads(one[2])) for one in heard if one[0] == "call"]
    return [said["reasoning"], said["content"], calls]


def found(response: Response) -> list[tuple]:
    """The same of a response; its types are held to the client's own."""
    Response.model_validate(response.model_dump(), strict=True)
    thoughts = [item.content[0].text for item in response.output if item.type == "reasoning"]
    calls = [item for item in response.output if item.type == "function_call"]
    assert len({item.call_id for item in calls}) == len(calls)
    return ["".join(thoughts), response.output_text, [(item.name, json.loads(item.arguments)) for item in calls]]


@pytest.mark.parametrize("name", NAMES)
def test_whole_and_streamed_responses_of_every_family_are_what_was_said(families: openai.OpenAI, name: str) -> None:
    asked = {"model": TRANSCRIPTS[name].format, "input": name, "tools": OFFERED}
    assert found(families.responses.create(**asked)) == expected(name)
    text, thought, done = "", "", []
    with families.responses.stream(**asked) as stream:
        for event in stream:
            text += event.delta if event.type == "response.output_text.delta" else ""
            thought += event.delta if event.type == "response.reasoning_text.delta" else ""
            if event.type == "response.function_call_arguments.done":
                done.append((event.name, json.loads(event.arguments)))
        final = stream.get_final_response()
    assert final.status == "completed"
    assert found(final) == expected(name) == [thought, text, done]
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens
    assert (final.usage.output_tokens_details.reasoning_tokens > 0) == bool(thought)


def test_a_custom_tool_and_its_result_go_forth_and_back(families: openai.OpenAI) -> None:
    tool = {"type": "custom", "name": "exec", "description": "Runs code."}
    ask = [{"role": "user", "content": "Run it"}]
    with families.responses.stream(model=AGENT, input=ask, tools=[tool]) as stream:
        told = "".join(event.delta for event in stream if event.type == "response.custom_tool_call_input.delta")
        [call] = stream.get_final_response().output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "exec", told) and "two" in told
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "two\n"}
    again = families.responses.create(model=AGENT, input=[*ask, call, result], tools=[tool])
    assert again.output_text == "Done: two"


def test_the_packaged_model_answers_as_it_does_in_a_chat(server: Server, client: openai.OpenAI) -> None:
    system, ask = "You are a painter.", "Name three primary colors."
    chat = client.chat.completions.create(
        model=server.model,
        messages=[{"role": "system", "content": system}, {"role": "user", "content": ask}],
        temperature=0,
        max_tokens=24,
    )
    asked = {"model": server.model, "instructions": system, "input": ask, "temperature": 0, "max_output_tokens": 24}
    whole = client.responses.create(**asked)
    streamed = "".join(
        event.delta
        for event in client.responses.create(**asked, stream=True)
        if event.type == "response.output_text.delta"
    )
    assert whole.output_text == streamed == chat.choices[0].message.content
    assert whole.usage.input_tokens == chat.usage.prompt_tokens
    assert client.responses.input_tokens.count(model=server.model, instructions=system, input=ask).input_tokens == (
        chat.usage.prompt_tokens
    )
    cut = client.responses.create(**asked | {"max_output_tokens": 3})
    assert (cut.status, cut.incomplete_details.reason, cut.usage.output_tokens) == (
        "incomplete",
        "max_output_tokens",
        3,
    )


def test_a_conversation_goes_on_with_the_items_that_came(server: Server, client: openai.OpenAI) -> None:
    talk: list = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be short."}]},
        {"role": "user", "content": "Name a color."},
    ]
    for _ in range(3):
        answer = client.responses.create(
            model=server.model, input=talk, temperature=0, max_output_tokens=8, store=False
        )
        talk += [*answer.output, {"role": "user", "content": [{"type": "input_text", "text": "Another."}]}]
    assert len(talk) == 8 and answer.output_text


class Color(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    red: int


def test_answers_are_parsed_into_the_types_that_were_asked_for(server: Server, client: openai.OpenAI) -> None:
    asked = {"model": server.model, "input": "Name a color as JSON.", "temperature": 0, "max_output_tokens": 200}
    parsed = client.responses.parse(**asked, text_format=Color)
    assert isinstance(parsed.output_parsed, Color)
    with client.responses.stream(**asked, text_format=Color) as stream:
        stream.until_done()
        assert stream.get_final_response().output_parsed == parsed.output_parsed
    loose = client.responses.create(**asked, text={"format": {"type": "json_object"}})
    assert loose.status == "incomplete" or isinstance(json.loads(loose.output_text), dict)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input[0].call_id"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"tools": OFFERED}, "tools"),
        ({"max_output_tokens": 10**6}, "max_output_tokens"),
    ],
)
def test_refusals_name_what_was_sent(server: Server, client: openai.OpenAI, fields: dict, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.responses.create(**{"model": server.model, "input": "hi", **fields})
    assert error.value.param == param


TEMPLATE = (
    '{% for t in tools or [] %}{{ t.function.name }} <tool_call>{"name"}{% endfor %}{% for m in messages %}<|im_start|>'
    "{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}"
    "{{ c.function.arguments | tojson }}{% endfor %}<|im_end|>{% endfor %}<|im_start|>a\n"
)


class pick(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int


@pytest.mark.slow
def test_a_model_of_noise_calls_what_it_must(tmp_path) -> None:
    """Random weights say nothing that makes sense; what is a call here is one because the grammar held it."""
    folder = make_folder(tmp_path / "noise", template=TEMPLATE, context=512)
    tool = openai.pydantic_function_tool(pick)
    custom = {
        "type": "custom",
        "name": "say",
        "format": {"type": "grammar", "syntax": "regex", "definition": "(ab){1,3}c"},
    }
    with running("--threads", "1", model=str(folder)) as server, client_of(server) as client:
        asked = {"model": server.model, "input": "x", "tools": [tool, custom], "parallel_tool_calls": False}
        for name in ("pick", "say"):
            kind = "function" if name == "pick" else "custom"
            fields = asked | {"tool_choice": {"type": kind, "name": name}, "max_output_tokens": 100}
            answer = client.responses.parse(**fields, extra_body={"seed": 1})
            [call] = answer.output
            assert answer.status == "completed"
            if isinstance(call, ResponseFunctionToolCall):
                assert isinstance(call.parsed_arguments, pick)
            else:
                assert call.input.endswith("c") and set(call.input[:-1].split("ab")) == {""}
