"""The wire of the Messages API: what clients may send, as they send it. Types only; `translate` makes a chat request of
it, which is checked as any other.

Source: the request types of anthropic 2.14.0.
"""

from __future__ import annotations

import msgspec

from undiced.api.schemas import NULL, Asking, Whole


class TextBlock(msgspec.Struct):
    """A part of a system prompt or of a tool's result; other kinds than text are refused by name."""

    type: str = "text"
    text: str | None = None


class Block(msgspec.Struct):
    """A part of a message: text, a call of a tool, its result, or a thought; other kinds are refused by name."""

    type: str = "text"
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, object] | None = None
    tool_use_id: str | None = None
    content: str | list[TextBlock] | None = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class InputMessage(msgspec.Struct):
    """One message of a conversation."""

    role: str
    content: str | list[Block]


class ClientTool(msgspec.Struct):
    """A tool that the client runs; `input_schema` is a JSON schema. Those that a service would run have dated types."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: dict[str, object] | None = None
    strict: bool | None = None


class ToolUse(msgspec.Struct):
    """Whether tools may be called, or must be, and which."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(msgspec.Struct):
    """Whether the model shall think, for how long, and whether its thoughts are told."""

    type: str
    budget_tokens: Whole | None = None
    display: str | None = None


class OutputFormat(msgspec.Struct):
    """The form of the answer."""

    type: str
    schema: msgspec.Raw = msgspec.field(default_factory=lambda: NULL)


class OutputConfig(msgspec.Struct):
    """How hard the model shall think, and what its answer looks like."""

    effort: str | None = None
    format: OutputFormat | None = None


class CountBody(Asking, kw_only=True):
    """The body of POST /v1/messages/count_tokens."""

    messages: list[InputMessage]
    system: str | list[TextBlock] | None = None
    tools: list[ClientTool] | None = None
    tool_choice: ToolUse | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole | None = None


class MessagesBody(CountBody, kw_only=True):
    """The body of POST /v1/messages."""

    max_tokens: Whole
