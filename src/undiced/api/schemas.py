"""The wire: what clients may send, as they send it. Types only; ranges and meaning are checked in `validate`.

Every optional field accepts an explicit null. The decoder skips members that are not listed here; `field_table` knows
what becomes of those.
"""

from __future__ import annotations

import msgspec

from undiced.core.errors import InvalidRequestError

NULL = msgspec.Raw(b"null")
Whole = int | float  # `validate` takes 8.0 for 8 and refuses 8.5


class Function(msgspec.Struct):
    """The function of a tool call that an assistant made earlier in the conversation."""

    name: str
    arguments: str | dict[str, object] = ""


class ToolCall(msgspec.Struct):
    """A tool call in an assistant's message."""

    function: Function
    id: str = ""
    type: str = "function"


class ToolFunction(msgspec.Struct):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    """A tool; those that are no functions are refused by name."""

    type: str = "function"
    function: ToolFunction | None = None


class ChosenFunction(msgspec.Struct):
    """A function by its name."""

    name: str


class Chosen(msgspec.Struct):
    """A tool by its name."""

    type: str = "function"
    function: ChosenFunction | None = None


class AllowedTools(msgspec.Struct):
    """Tools that may be called now, of those that the model is told of."""

    mode: str = "auto"
    tools: list[Chosen] = []


class ToolChoice(msgspec.Struct):
    """The one function to call, or those that may be called."""

    type: str = "function"
    function: ChosenFunction | None = None
    allowed_tools: AllowedTools | None = None


class ContentPart(msgspec.Struct):
    """One part of a message: text, or an assistant's refusal; other kinds are refused by name."""

    type: str = "text"
    text: str | None = None
    refusal: str | None = None


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct):
    """What a stream carries besides text."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Prediction(msgspec.Struct):
    """The `prediction` member: a text that the answer is expected to share much with."""

    content: str | list[ContentPart]
    type: str = "content"


class ResponseFormat(msgspec.Struct):
    """The asked form of the answer."""

    type: str = "text"
    json_schema: msgspec.Raw = msgspec.field(default_factory=lambda: NULL)
    schema: msgspec.Raw = msgspec.field(default_factory=lambda: NULL)


class StructuredOutputs(msgspec.Struct):
    """The asked form of the answer: one of these."""

    json: msgspec.Raw = msgspec.field(default_factory=lambda: NULL)
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None


class Reasoning(msgspec.Struct):
    """Whether and how hard the model shall think."""

    effort: str | None = None
    enabled: bool | None = None
    max_tokens: Whole | None = None
    exclude: bool | None = None


class ThinkingSwitch(msgspec.Struct):
    """`enabled` or `disabled`, and how much of it."""

    type: str
    budget_tokens: Whole | None = None
    clear_thinking: bool | None = None


class Asking(msgspec.Struct, kw_only=True):
    """A request that names the model which shall answer it."""

    model: str | None = None


class Body(Asking, kw_only=True):
    """The fields that chat and text completions share."""

    max_tokens: Whole | None = None
    max_completion_tokens: Whole | None = None
    min_tokens: Whole | None = None
    min_completion_tokens: Whole | None = None
    n: Whole | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: Whole | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    allowed_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    prediction: Prediction | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    json_schema: msgspec.Raw = msgspec.field(default_factory=lambda: NULL)
    regex: str | None = None
    grammar: str | None = None
    guided_json: msgspec.Raw = msgspec.field(default_factory=lambda: NULL)
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    cache_salt: str | None = None
    service_tier: str | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None


class ChatBody(Body, kw_only=True):
    """The body of POST /v1/chat/completions."""

    messages: list[Message]
    logprobs: bool | None = None
    top_logprobs: Whole | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[dict[str, msgspec.Raw]] | None = None
    function_call: str | dict[str, msgspec.Raw] | None = None
    modalities: list[str] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, object] | None = None
    documents: list[dict[str, object]] | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    enable_thinking: bool | None = None
    thinking: bool | ThinkingSwitch | None = None
    disable_reasoning: bool | None = None
    reasoning_format: str | None = None
    include_reasoning: bool | None = None
    clear_thinking: bool | None = None
    reasoning_max_tokens: Whole | None = None
    thinking_budget: Whole | None = None
    thinking_token_budget: Whole | None = None


class CompletionBody(Body, kw_only=True):
    """The body of POST /v1/completions."""

    prompt: str | list[str | int | list[int]]
    logprobs: Whole | None = None
    echo: bool | None = None
    best_of: Whole | None = None


class EmbeddingBody(msgspec.Struct, kw_only=True):
    """The body of POST /v1/embeddings."""

    input: str | list[str | int | list[int]]
    model: str | None = None
    encoding_format: str | None = None
    dimensions: Whole | None = None
    cache_salt: str | None = None


class TokenizeBody(msgspec.Struct, kw_only=True):
    """The body of POST /v1/tokenize."""

    prompt: str
    model: str | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None


class DetokenizeBody(msgspec.Struct, kw_only=True):
    """The body of POST /v1/detokenize."""

    tokens: list[int]
    model: str | None = None
    skip_special_tokens: bool | None = None


class Control(msgspec.Struct):
    """The body of POST /v1/chat/completions/control."""

    id: str
    action: str


def chat_body(members: dict[str, object]) -> ChatBody:
    """A chat request of a Python program: objects, not JSON. Messages may miss.

    Raises InvalidRequestError for a member of another type.
    """
    try:
        return msgspec.convert({"messages": [], **members}, ChatBody)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"{error}.") from None
