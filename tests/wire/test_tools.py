"""Official clients against the real HTTP server with scripted tokens, in the formats of nine families; and against a
tiny model with random weights, which calls a function because it must.

No model said what the transcripts say: they are written after the formats' documents, see `support.transcripts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import cerebras.cloud.sdk as sdk
import openai
import pytest
from cerebras.cloud.sdk.types.chat.chat_completion import ChatChunkResponse, ChatCompletionResponse
from folders import CALLING, make_folder
from live import Server, running, scripted
from support.transcripts import TOOLS, TRANSCRIPTS

from undiced import LLM, SamplingParams
from undiced.core.errors import InvalidRequestError, UnsupportedError

pytestmark = pytest.mark.wire
OFFERED = [
    {"type": "function", "function": {"name": tool.name, "description": "d", "parameters": dict(tool.schema)}}
    for tool in TOOLS.values()
]
WITH_CALLS = [
    name
    for name, of in TRANSCRIPTS.items()
    if not of.opened and any(one[0] == "call" for one in of.heard) and name != "a call that is cut"
]
THINKING = ["hermes, thinking", "mistral, thinking", "harmony", "harmony, a call"]


@pytest.fixture(scope="module")
def families() -> Iterator[Server]:
    with scripted() as server:
        yield server


def asked(name: str, **fields: object) -> dict:
    ask = [{"role": "user", "content": name}]
    return {"model": TRANSCRIPTS[name].format, "messages": ask, "tools": OFFERED, **fields}


def expected(name: str) -> dict:
    """What a client shall have of a transcript."""
    heard = TRANSCRIPTS[name].heard
    return {
        "content": "".join(one[1] for one in heard if one[0] == "content") or None,
        "reasoning": "".join(one[1] for one in heard if one[0] == "reasoning") or None,
        "calls": [(one[1], json.loads(one[2])) for one in heard if one[0] == "call"],
    }


def found(message: object) -> dict:
    """The same of a client's message object."""
    calls = getattr(message, "tool_calls", None) or []
    return {
        "content": message.content,  # type: ignore[attr-defined]
        "reasoning": getattr(message, "reasoning", None),
        "calls": [(one.function.name, json.loads(one.function.arguments)) for one in calls],
    }


@pytest.mark.parametrize("name", WITH_CALLS)
def test_openai_puts_streamed_calls_together_and_reads_whole_ones(families: Server, name: str) -> None:
    with openai.OpenAI(base_url=families.v1, api_key="none", max_retries=0) as client:
        whole = client.chat.completions.create(**asked(name)).choices[0]
        assert (found(whole.message), whole.finish_reason) == (expected(name), "tool_calls")
        done = []
        with client.chat.completions.stream(**asked(name)) as stream:
            for event in stream:
                if event.type == "tool_calls.function.arguments.done":
                    done.append((event.name, json.loads(event.arguments)))
            final = stream.get_final_completion().choices[0]
    assert (found(final.message), final.finish_reason) == (expected(name), "tool_calls")
    assert done == expected(name)["calls"]
    assert len({one.id for one in final.message.tool_calls}) == len(done)


@pytest.mark.parametrize("name", [*WITH_CALLS, "harmony", "plain"])
def test_cerebras_reads_every_chunk(families: Server, name: str) -> None:
    with sdk.Cerebras(base_url=families.url, api_key="none", max_retries=0, warm_tcp_connection=False) as client:
        whole = client.chat.completions.create(**asked(name, reasoning_format="parsed", logprobs=True))
        assert isinstance(whole, ChatCompletionResponse)
        assert found(whole.choices[0].message) == expected(name)
        content, reasoning, calls = "", "", {}
        for chunk in client.chat.completions.create(**asked(name, logprobs=True), stream=True):
            assert type(chunk) is ChatChunkResponse
            ChatChunkResponse.model_validate(chunk.model_dump(), strict=True)
            delta = chunk.choices[0].delta
            content, reasoning = content + (delta.content or ""), reasoning + (delta.reasoning or "")
            for one in delta.tool_calls or ():
                assert one.type == "function"
                kept = calls.setdefault(one.index, [one.function.name, ""])
                kept[1] += one.function.arguments
    told = [(function, json.loads(arguments)) for function, arguments in calls.values()]
    assert {"content": content or None, "reasoning": reasoning or None, "calls": told} == expected(name)
    assert (chunk.usage.completion_tokens_details.reasoning_tokens > 0) == bool(reasoning)


@pytest.mark.parametrize("name", THINKING)
def test_thoughts_reach_openai_as_members_it_does_not_know(families: Server, name: str) -> None:
    with openai.OpenAI(base_url=families.v1, api_key="none", max_retries=0) as client:
        chunks = list(client.chat.completions.create(**asked(name), stream=True))
        hidden = client.chat.completions.create(**asked(name), extra_body={"reasoning_format": "hidden"})
    thought = "".join(getattr(chunk.choices[0].delta, "reasoning", "") for chunk in chunks)
    assert thought == expected(name)["reasoning"]
    assert not hasattr(hidden.choices[0].message, "reasoning")
    assert hidden.usage.completion_tokens_details.reasoning_tokens > 0


PICK = {
    "type": "function",
    "function": {
        "name": "pick",
        "parameters": {
            "type": "object",
            "properties": {"n": {"enum": [1, 22, 333]}, "why": {"enum": ["a", "b"]}},
            "required": ["n", "why"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A tiny model of random weights, whose template opens a thought and tells of tools."""
    folder = make_folder(tmp_path_factory.mktemp("noise") / "model", template=CALLING, context=2048)
    with running("--threads", "1", model=str(folder)) as server:
        yield server


def test_a_model_of_noise_thinks_as_long_as_it_may_and_calls_what_it_must(noise: Server) -> None:
    """Random weights say nothing that makes sense; what is a call here is one because the grammar held it."""
    server = noise
    with openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client:
        ask = {"model": server.model, "messages": [{"role": "user", "content": "x"}], "seed": 1}
        for choice in ("required", {"type": "function", "function": {"name": "pick"}}):
            for seed in range(3):
                fields = ask | {"seed": seed, "tools": [PICK], "tool_choice": choice}
                extra = {"reasoning_max_tokens": 9}
                answer = client.chat.completions.create(**fields, parallel_tool_calls=False, extra_body=extra)
                [call] = answer.choices[0].message.tool_calls
                arguments = json.loads(call.function.arguments)
                assert (call.function.name, answer.choices[0].finish_reason) == ("pick", "tool_calls")
                assert arguments["n"] in (1, 22, 333) and arguments["why"] in ("a", "b")
                assert answer.usage.completion_tokens_details.reasoning_tokens == 9 + len("</think>")
        assert client.models.retrieve(server.model).capabilities["function_calling"]
        result = {"role": "tool", "tool_call_id": call.id, "content": "4"}
        talk = [*ask["messages"], answer.choices[0].message, result]
        again = client.chat.completions.create(**ask | {"messages": talk}, tools=[PICK], max_tokens=5)
        assert again.usage.completion_tokens == 5


def test_a_stream_that_thinks_is_told_to_stop_thinking(noise: Server) -> None:
    server = noise
    with openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(
            model=server.model, messages=[{"role": "user", "content": "x"}], stream=True, temperature=0,
            max_tokens=1500, extra_body={"ignore_eos": True, "logit_bias": {"2": -100}},
        )  # fmt: skip
        ended = None
        channels = []
        for chunk in stream:
            delta = chunk.choices[0].delta
            channels += [name for name in ("reasoning", "content") if getattr(delta, name, None)]
            if ended is None and channels:
                body = {"id": chunk.id, "action": "reasoning_end"}
                ended = client.post("/chat/completions/control", body=body, cast_to=dict)
        assert ended["ended"] == 1
        assert channels[0] == "reasoning" and channels[-1] == "content" and channels.count("reasoning") < 1200


def test_a_python_program_hears_calls_and_thoughts(tmp_path) -> None:
    folder = make_folder(tmp_path / "noise", template=CALLING, context=512)
    params = SamplingParams(temperature=1, seed=3, max_tokens=200)
    with LLM(folder, threads=1) as llm:
        [output] = llm.chat("x", params, tools=[PICK], tool_choice="required", reasoning_max_tokens=5)
        answer = output.outputs[0]
        assert {call.name for call in answer.tool_calls} == {"pick"}
        if answer.finish_reason == "tool_calls":
            assert all(json.loads(call.arguments)["n"] in (1, 22, 333) for call in answer.tool_calls)
        assert answer.reasoning_tokens == 5 + len("</think>") and answer.text == ""
        back = {"role": "assistant", "content": None, "tool_calls": [answer.tool_calls[0].as_message()]}
        result = {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "4"}
        ask = {"role": "user", "content": "x"}
        [again] = llm.chat([ask, back, result], SamplingParams(max_tokens=3), tools=[PICK])
        assert len(again.outputs[0].token_ids) == 3
        with pytest.raises(InvalidRequestError, match="no result"):
            llm.chat([ask, back], tools=[PICK])
        with pytest.raises(InvalidRequestError, match="no tool 'no'"):
            llm.chat("x", tools=[PICK], tool_choice={"type": "function", "function": {"name": "no"}})
        pieces = [(piece, so_far.reasoning) for piece, so_far in llm.stream([ask], SamplingParams(max_tokens=4))]
        assert not any(piece for piece, _ in pieces) and len(pieces[-1][1].strip()) > 0
    with LLM(folder, threads=1, tool_format="none", thinking_format="none") as deaf:
        assert deaf.chat("x", params)[0].outputs[0].reasoning == ""
        with pytest.raises(UnsupportedError, match="tools"):
            deaf.chat("x", tools=[PICK])
    with pytest.raises(InvalidRequestError, match="no tool format 'morse'"):
        LLM(folder, tool_format="morse")
