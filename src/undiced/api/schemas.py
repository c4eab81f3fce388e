"""The wire: what clients may send, as they send it. Types only; ranges and meaning are checked in `validate`.

Every optional field accepts an explicit null. Fields that are not listed here are skipped by the decoder.
Source of the fields: the OpenAI chat and completion references, and the request types of the cerebras-cloud-sdk
package.
"""

from __future__ import annotations

import msgspec


class Function(msgspec.Struct):
    """The function of a tool call that an assistant made earlier in the conversation."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct):
    """A tool call in an assistant's message."""

    function: Function
    id: str = ""
    type: str = "function"


class ContentPart(msgspec.Struct):
    """One part of a message; only text is understood, other kinds are refused by name."""

    type: str = "text"
    text: str | None = None


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct):
    """What a stream carries besides text."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class ResponseFormat(msgspec.Struct):
    """The asked form of the answer; only `text` is served."""

    type: str = "text"


class Body(msgspec.Struct, kw_only=True):
    """The fields that chat and text completions share."""

    model: str
    max_tokens: int | None = None
    min_tokens: int | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    return_raw_tokens: bool | None = None
    cache_salt: str | None = None


class ChatBody(Body, kw_only=True):
    """The body of POST /v1/chat/completions."""

    messages: list[Message]
    max_completion_tokens: int | None = None
    min_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, msgspec.Raw]] | None = None
    tool_choice: str | dict[str, msgspec.Raw] | None = None
    functions: list[dict[str, msgspec.Raw]] | None = None
    function_call: str | dict[str, msgspec.Raw] | None = None
    modalities: list[str] | None = None


class CompletionBody(Body, kw_only=True):
    """The body of POST /v1/completions."""

    prompt: str | list[str | int | list[int]]
    logprobs: int | None = None
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None
    grammar_root: str | None = None


# Standard fields that change nothing here; clients send them by habit, so they are accepted in silence.
TOLERATED = frozenset(
    [
        "audio",
        "clear_thinking",
        "disable_reasoning",
        "max_tool_calls",
        "metadata",
        "model_parameters",
        "parallel_tool_calls",
        "prediction",
        "priority",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "reasoning_format",
        "request_id",
        "safety_identifier",
        "service_tier",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "store",
        "thinking",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
