"""Run by a Python that has litellm, which is not the one of the tests: asks the server and prints one JSON object.

Its arguments: the base URL and the model of a server with a real model, the same of one with scripted tokens, and the
provider by whose name litellm calls them.
"""

from __future__ import annotations

import json
import sys

import litellm

REAL, MODEL, SCRIPTED, AGENT, PROVIDER = sys.argv[1:]
ASK = [{"role": "user", "content": "Name three animals."}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": PARAMETERS}}]
SCHEMA = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
real = {"model": f"{PROVIDER}/{MODEL}", "api_base": REAL, "api_key": "none", "max_retries": 0}
scripted = {"model": f"{PROVIDER}/{AGENT}", "api_base": SCRIPTED, "api_key": "none", "max_retries": 0}


def told(answer: litellm.ModelResponse) -> dict:
    """What is in an answer."""
    choice, usage = answer.choices[0], answer.usage
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []]
    return {
        "content": choice.message.content,
        "thought": getattr(choice.message, "reasoning_content", None),
        "calls": calls,
        "reason": choice.finish_reason,
        "tokens": [usage.prompt_tokens, usage.completion_tokens],
    }


def pair(messages: list, **fields: object) -> tuple[dict, dict]:
    """A whole answer, and a streamed one put together by the client."""
    whole = litellm.completion(messages=messages, **fields)
    usage = {"stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(messages=messages, stream=True, **usage, **fields))
    return told(whole), told(litellm.stream_chunk_builder(chunks, messages=messages))


def failed(**fields: object) -> list[str]:
    """The classes of an error."""
    try:
        litellm.completion(**fields)
    except Exception as error:
        return [one.__name__ for one in type(error).__mro__]
    return []


def elsewhere() -> dict[str, list]:
    """The calls of an answer in the formats of Responses and Messages, to which the client translates."""
    tool = {"type": "function", "name": "weather", "parameters": PARAMETERS}
    items = litellm.responses(
        model=f"openai/{AGENT}", api_base=SCRIPTED, api_key="none", input=WEATHER[0]["content"], tools=[tool]
    ).output
    calls = [(item.name, json.loads(item.arguments)) for item in items if item.type == "function_call"]
    fields = {**scripted, "model": f"anthropic/{AGENT}", "api_base": SCRIPTED.removesuffix("/v1")}
    return {"responses": calls, "messages": [one["calls"] for one in pair(WEATHER, tools=TOOLS, **fields)]}


called = litellm.completion(messages=WEATHER, tools=TOOLS, **scripted).choices[0].message
result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "plain"}
print(
    json.dumps(
        {
            "plain": pair(ASK, temperature=0, max_tokens=30, **real),
            "document": pair(ASK, temperature=1, seed=1, response_format=FORM, **real),
            "call": pair(WEATHER, tools=TOOLS, **scripted),
            "elsewhere": elsewhere(),
            "after": told(litellm.completion(messages=[*WEATHER, called, result], tools=TOOLS, **scripted)),
            "too long": failed(messages=[{"role": "user", "content": "word " * 3000}], **real),
            "unknown": failed(messages=ASK, **{**real, "model": f"{PROVIDER}/none"}),
        }
    )
)
