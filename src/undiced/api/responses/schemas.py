"""The wire of POST /v1/responses: what clients may send, as they send it. Types only.

Items and tools stay undecoded at first: what they hold depends on their type, and those of unknown types are skipped.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from undiced.api.schemas import NULL, Asking, Whole

Name = Annotated[str, msgspec.Meta(min_length=1)]


class TypedPart(msgspec.Struct):
    """What an item or a tool says of itself. role: of a message, which needs no type."""

    type: str | None = None
    role: object = None


class TextPart(msgspec.Struct):
    """A part of a message, of a thought or of a result."""

    type: str = "input_text"
    text: str | None = None
    refusal: str | None = None


class MessageItem(msgspec.Struct):
    """What somebody said."""

    role: str
    content: str | list[TextPart]


class ReasoningItem(msgspec.Struct):
    """A thought of an earlier answer."""

    content: list[TextPart] | None = None
    summary: list[TextPart] | None = None
    encrypted_content: str | None = None


class CallItem(msgspec.Struct):
    """A call of a function in an earlier answer."""

    call_id: str
    name: str
    arguments: str = ""
    namespace: str | None = None


class CustomCallItem(msgspec.Struct):
    """A call of a custom tool in an earlier answer."""

    call_id: str
    name: str
    input: str = ""
    namespace: str | None = None


class ResultItem(msgspec.Struct):
    """What came of a call."""

    call_id: str
    output: str | list[TextPart]


class AddedTools(msgspec.Struct):
    """Tools among the items."""

    tools: list[msgspec.Raw]


class FunctionTool(msgspec.Struct):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: Name
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class ToolFormat(msgspec.Struct):
    """What the input of a custom tool looks like."""

    type: str = "text"
    syntax: str | None = None
    definition: str | None = None


class CustomTool(msgspec.Struct):
    """A tool whose input is a text."""

    name: Name
    description: str | None = None
    format: ToolFormat | None = None


class Namespace(msgspec.Struct):
    """Tools under a name of their own."""

    name: Name
    tools: list[msgspec.Raw]
    description: str | None = None


class PickedTool(msgspec.Struct, omit_defaults=True):
    """A tool by its name, or those that may be called."""

    type: str = ""
    name: str | None = None
    mode: str | None = None
    tools: list[PickedTool] | None = None


class TextFormat(msgspec.Struct, omit_defaults=True):
    """The asked form of the answer."""

    type: str = ""
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = msgspec.field(default_factory=lambda: NULL)
    strict: bool | None = None


class TextOptions(msgspec.Struct):
    """How the answer's text shall be."""

    format: TextFormat | None = None
    verbosity: str | None = None


class ReasoningOptions(msgspec.Struct):
    """How hard the model shall think."""

    effort: str | None = None


class ResponseBody(Asking, kw_only=True):
    """The body of POST /v1/responses, and of POST /v1/responses/input_tokens."""

    input: str | list[msgspec.Raw] = msgspec.field(default_factory=list)
    instructions: str | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: str | PickedTool | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    include: list[str] | None = None
    top_logprobs: Whole | None = None
    max_output_tokens: Whole | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole | None = None
    min_p: float | None = None
    seed: Whole | None = None
    cache_salt: str | None = None
    service_tier: str | None = None
    stream: bool | None = None
    metadata: dict[str, str] | None = None
