"""The official `anthropic` client, unchanged: against the packaged model, and against scripted tokens in the formats of
several families.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import pytest
from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from live import Server, scripted
from support.markdown import PAGES, blocks
from support.transcripts import TOOLS, TRANSCRIPTS

from undiced.api.anthropic.fields import TABLE

pytestmark = pytest.mark.wire
ASK = [{"role": "user", "content": "Name three primary colors."}]
OFFERED = [{"name": tool.name, "description": "d", "input_schema": dict(tool.schema)} for tool in TOOLS.values()]
SPOKEN = ["hermes", "qwen-coder", "mistral, with an id", "harmony, a call", "hermes, thinking", "mistral, thinking"]


@pytest.fixture(scope="module")
def families() -> Iterator[Server]:
    with scripted() as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as made:
        yield made


def told(message: anthropic.types.Message) -> list[tuple]:
    """What is in a message, without ids; a stretch of text alone that is empty is none."""
    shown = {"text": ("text",), "thinking": ("thinking",), "tool_use": ("name", "input")}
    return [(block.type, *(getattr(block, name) for name in shown[block.type])) for block in message.content]


def test_the_model_answers_whole_and_streamed_alike(client: anthropic.Anthropic, server: Server) -> None:
    asked = {"model": server.model, "max_tokens": 40, "messages": ASK, "extra_body": {"temperature": 0}}
    whole = client.messages.create(**asked, system="Answer briefly.", extra_headers={"anthropic-version": "2023-06-01"})
    with client.messages.stream(**asked, system=[{"type": "text", "text": "Answer briefly."}]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert whole.id.startswith("msg_") and whole._request_id.startswith("req_")
    assert told(whole) == told(final) == [("text", text)] and text
    assert whole.stop_reason == final.stop_reason in ("end_turn", "max_tokens")
    assert final.usage.output_tokens == whole.usage.output_tokens > 0
    count = client.messages.count_tokens(model=server.model, messages=ASK, system="Answer briefly.").input_tokens
    for usage in (whole.usage, final.usage):
        assert usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens == count


def test_the_second_time_the_prompt_is_read_from_the_cache(client: anthropic.Anthropic, server: Server) -> None:
    asked = {"model": server.model, "max_tokens": 2, "messages": [{"role": "user", "content": "word " * 200}]}
    client.messages.create(**asked)
    usage = client.beta.messages.create(**asked, betas=["context-1m-2025-08-07"]).usage
    assert usage.cache_read_input_tokens > 100 > usage.input_tokens


def test_a_stop_sequence_and_a_document(client: anthropic.Anthropic, server: Server) -> None:
    asked = {"model": server.model, "max_tokens": 60, "extra_body": {"temperature": 0}}
    count = [{"role": "user", "content": "Say: 1, 2, 3, 4, 5"}]
    stopped = client.messages.create(**asked, messages=count, stop_sequences=["3", "zzz"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "3")
    assert "3" not in stopped.content[0].text
    schema = {
        "type": "object",
        "properties": {"n": {"enum": [1, 2]}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form = {"format": {"type": "json_schema", "schema": schema}}
    document = client.messages.create(**asked, messages=ASK, output_config=form).content[0].text
    assert document.replace(" ", "") in ('{"n":1}', '{"n":2}')


def test_an_answer_that_the_context_cuts_says_so(client: anthropic.Anthropic, server: Server) -> None:
    ask = [{"role": "user", "content": "Count from one to ten thousand."}]
    asked = {"model": server.model, "max_tokens": 32_000, "messages": ask, "stream": True}
    prompt = client.messages.count_tokens(model=server.model, messages=ask).input_tokens
    with pytest.raises(anthropic.BadRequestError, match="maximum context length"):
        client.messages.create(**asked | {"messages": [{"role": "user", "content": "word " * 3000}]})
    assert prompt < server.context
    with client.messages.create(**asked) as stream:
        assert next(iter(stream)).message.usage.input_tokens == prompt


ERRORS = {
    "no such model": (anthropic.NotFoundError, {"model": "none"}),
    "an image": (
        anthropic.BadRequestError,
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]},
    ),
    "a tool": (anthropic.BadRequestError, {"tools": OFFERED}),
    "a number": (anthropic.BadRequestError, {"extra_body": {"temperature": 9}}),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_the_clients_exceptions(client: anthropic.Anthropic, server: Server, name: str) -> None:
    kind, fields = ERRORS[name]
    for stream in (False, True):
        with pytest.raises(kind) as found:
            client.messages.create(
                **{"model": server.model, "max_tokens": 9, "messages": ASK, "stream": stream, **fields}
            )
        assert found.value.body["type"] == "error" and found.value.body["request_id"] == found.value.request_id
        assert found.value.body["error"]["type"] in ("invalid_request_error", "not_found_error")


def expected(name: str) -> list[tuple]:
    """What a client shall have of a transcript."""
    kinds = {"content": "text", "reasoning": "thinking", "call": "tool_use"}
    return [
        (kinds[kind], *rest) if kind != "call" else ("tool_use", rest[0], json.loads(rest[1]))
        for kind, *rest in TRANSCRIPTS[name].heard
    ]


@pytest.mark.parametrize("name", SPOKEN)
def test_thoughts_and_calls_arrive_and_go_back(families: Server, name: str) -> None:
    asked = {"model": TRANSCRIPTS[name].format, "max_tokens": 500, "tools": OFFERED}
    ask = {"role": "user", "content": name}
    with anthropic.Anthropic(base_url=families.url, api_key="none", max_retries=0) as client:
        whole = client.messages.create(**asked, messages=[ask])
        with client.messages.stream(**asked, messages=[ask]) as stream:
            order = [event.type for event in stream]
            final = stream.get_final_message()
        assert told(whole) == told(final) == expected(name)
        assert whole.stop_reason == final.stop_reason == "tool_use"
        assert order[0] == "message_start" and order[-1] == "message_stop"
        assert all(block.signature for block in final.content if block.type == "thinking")
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "4"}
            for block in final.content
            if block.type == "tool_use"
        ]
        talk = [ask, {"role": "assistant", "content": final.content}, {"role": "user", "content": results}, ask]
        again = client.messages.create(**asked, messages=talk)
        assert told(again) == expected(name)


def test_a_tool_runner_whose_threads_are_refused_runs_tools_without_them(families: Server) -> None:
    calls = []

    @anthropic.beta_tool
    def weather(city: str, days: int = 1) -> str:
        """Tells the weather.

        Args:
            city: where.
            days: how many.
        """
        calls.append((city, days))
        return "plain"

    with anthropic.Anthropic(base_url=families.url, api_key="none", max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model="mistral",
            max_tokens=500,
            tools=[weather],
            messages=[{"role": "user", "content": "mistral, with an id"}],
            max_iterations=2,
        )
        assert [message.stop_reason for message in runner] == ["tool_use", "tool_use"]
    assert calls[0] == ("Paris", 2)


def test_a_stream_that_fails_raises(families: Server) -> None:
    with anthropic.Anthropic(base_url=families.url, api_key="none", max_retries=0) as client:
        asked = {"model": "hermes", "max_tokens": 50, "messages": [{"role": "user", "content": "no such transcript"}]}
        with pytest.raises(anthropic.APIStatusError) as found:
            list(client.messages.create(**asked, stream=True))
        assert found.value.body["error"]["type"] == "api_error"


def test_the_program_of_the_page_runs(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    [program] = [block for page in PAGES for block in blocks(page) if block.text.startswith("import anthropic")]
    exec(program.text.replace("http://127.0.0.1:8000", server.url), {})
    assert capsys.readouterr().out.strip()


def test_the_client_can_send_nothing_that_is_not_known() -> None:
    names = {line.name for line in TABLE[""]}
    for params in (MessageCreateParamsNonStreaming, MessageCountTokensParams):
        assert params.__annotations__.keys() <= names
