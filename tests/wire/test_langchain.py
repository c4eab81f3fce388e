"""`langchain-cerebras`, unchanged: with the packaged model, with scripted tokens, and with a tiny model of random
weights that calls a function because it must.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Literal

import openai
import pytest
from folders import CALLING, make_folder
from live import Server, running, scripted
from pydantic import BaseModel, ConfigDict
from scripted_families import AGENT
from support.clients_page import PAGE
from support.markdown import blocks

if TYPE_CHECKING:
    from langchain_cerebras import ChatCerebras

pytestmark = pytest.mark.wire
ASK = "Name three animals."


class Person(BaseModel):
    """A person."""

    model_config = ConfigDict(extra="forbid")
    age: Literal[1, 22, 333]
    mood: Literal["calm", "glad"]


def weather(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return "plain"


@pytest.fixture(scope="module")
def families() -> Iterator[Server]:
    with scripted() as server:
        yield server


def chat(server: Server, model: str, **fields: object) -> ChatCerebras:
    from langchain_cerebras import ChatCerebras  # takes seconds, which only these tests shall pay

    fields = {"api_key": "none", "max_retries": 0, "base_url": server.v1, **fields}
    return ChatCerebras(model=model, **fields)  # type: ignore[arg-type]


@pytest.mark.model
def test_the_model_answers_whole_and_streamed_alike(server: Server) -> None:
    model = chat(server, server.model, temperature=0, max_tokens=30)
    whole = model.invoke(ASK)
    streamed = reduce(add, model.stream(ASK))
    assert whole.content == streamed.content != ""
    assert whole.response_metadata["finish_reason"] == streamed.response_metadata["finish_reason"] == "stop"
    for found in (whole.usage_metadata, streamed.usage_metadata):
        assert found["output_tokens"] > 1 and found["total_tokens"] == found["input_tokens"] + found["output_tokens"]
    assert whole.usage_metadata["output_tokens"] == streamed.usage_metadata["output_tokens"]


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of the client about its own types
def test_documents_by_schema(server: Server) -> None:
    model = chat(server, server.model, temperature=1, seed=3, max_tokens=60)
    by_schema = model.with_structured_output(Person, method="json_schema")
    assert isinstance(by_schema.invoke(ASK), Person)
    assert [type(one) for one in by_schema.stream(ASK)][-1] is Person
    assert isinstance(model.with_structured_output(None, method="json_mode").invoke("Answer in JSON: a cat"), dict)


@pytest.mark.slow
def test_a_forced_call_is_structured_output(tmp_path_factory: pytest.TempPathFactory) -> None:
    """This is how LangChain asks for it if nothing else is said."""
    folder = make_folder(tmp_path_factory.mktemp("noise") / "model", template=CALLING, context=2048)
    with running("--threads", "1", model=str(folder)) as server:
        model = chat(server, server.model, seed=1, extra_body={"reasoning_max_tokens": 5})
        assert isinstance(model.with_structured_output(Person).invoke(ASK), Person)


def test_tools_are_called_and_their_results_are_read(families: Server) -> None:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    model = chat(families, AGENT).bind_tools([weather])
    ask = HumanMessage("What is the weather in Paris?")
    whole, streamed = model.invoke([ask]), reduce(add, model.stream([ask]))
    for found in (whole, streamed):
        [call] = found.tool_calls
        assert (call["name"], call["args"]) == ("weather", {"city": "Paris", "days": 2})
        assert (found.content, found.additional_kwargs["reasoning"]) == ("I look.", "A tool knows.")
        assert found.response_metadata["finish_reason"] == "tool_calls"
        assert found.usage_metadata["output_token_details"]["reasoning"] > 0
    [call] = whole.tool_calls
    result = ToolMessage(weather(**call["args"]), tool_call_id=call["id"])
    assert isinstance(whole, AIMessage) and model.invoke([ask, whole, result]).content == "It is plain."


def test_thoughts_that_are_asked_for_are_blocks_of_content(families: Server) -> None:
    answer = chat(families, "harmony", reasoning_effort="high").invoke("harmony")
    assert [block["type"] for block in answer.content] == ["reasoning_content", "text"]
    assert answer.content[0]["reasoning_content"]["text"] == "Hm <think>."
    assert answer.content[1]["text"] == "Yes. "


@pytest.mark.model
def test_errors_are_the_clients_exceptions(server: Server) -> None:
    with pytest.raises(openai.NotFoundError):
        chat(server, "none").invoke(ASK)
    with pytest.raises(openai.BadRequestError, match="tools is not supported"):
        chat(server, server.model).bind_tools([weather]).invoke(ASK)
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        chat(server, server.model).invoke("word " * 3000)


@pytest.mark.slow
@pytest.mark.model
def test_the_program_of_the_page_runs(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    [program] = [block for block in blocks(PAGE) if block.text.startswith("from langchain_cerebras")]
    exec(program.text.replace("http://127.0.0.1:8000", server.url), {})
    assert capsys.readouterr().out.strip()
