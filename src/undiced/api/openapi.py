"""The API described for programs, as OpenAPI 3.1. The members of requests come from their types (`schemas`), their
meaning from `field_table`, their ranges from `limits`: nothing about them is written here a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undiced.api.allowances import OwnLimits
from undiced.api.anthropic import fields as anthropic
from undiced.api.anthropic.schemas import CountBody, MessagesBody
from undiced.api.field_table import TABLE
from undiced.api.fields import ANY, Fate, Where
from undiced.api.limits import RANGES, WHOLE
from undiced.api.responses import fields as responses
from undiced.api.responses.schemas import ResponseBody
from undiced.api.schemas import ChatBody, CompletionBody, Control, DetokenizeBody, EmbeddingBody, TokenizeBody
from undiced.core.sampling import TOP_LOGPROBS_MAX

if TYPE_CHECKING:
    from undiced.api.fields import Field

Schema = dict[str, object]
_REF = "#/components/schemas/{name}"
_KINDS: dict[str, tuple[str, Where]] = {  # which schema describes the objects of which place, and for which endpoint
    "ChatBody": ("", Where.CHAT),
    "CompletionBody": ("", Where.TEXT),
    "Message": ("messages[].", Where.CHAT),
    "ContentPart": ("messages[].content[].", Where.CHAT),
    "ToolCall": ("messages[].tool_calls[].", Where.CHAT),
    "Tool": ("tools[].", Where.CHAT),
    "ToolFunction": ("tools[].function.", Where.CHAT),
    "ToolChoice": ("tool_choice.", Where.CHAT),
    "AllowedTools": ("tool_choice.allowed_tools.", Where.CHAT),
    "Chosen": ("tool_choice.allowed_tools.tools[].", Where.CHAT),
    "ChosenFunction": ("tool_choice.function.", Where.CHAT),
    "Function": ("messages[].tool_calls[].function.", Where.CHAT),
    "StreamOptions": ("stream_options.", Where.BOTH),
    "ResponseFormat": ("response_format.", Where.BOTH),
    "StructuredOutputs": ("structured_outputs.", Where.BOTH),
    "Reasoning": ("reasoning.", Where.CHAT),
    "ThinkingSwitch": ("thinking.", Where.CHAT),
}
_OF_MESSAGES = {  # the same of the Messages API
    "MessagesBody": "",
    "CountBody": "",
    "InputMessage": "messages[].",
    "Block": "messages[].content[].",
    "TextBlock": "system[].",
    "ClientTool": "tools[].",
    "ToolUse": "tool_choice.",
    "ThinkingConfig": "thinking.",
    "OutputConfig": "output_config.",
    "OutputFormat": "output_config.format.",
}
_OF_RESPONSES = {  # and of the Responses API
    "ResponseBody": "",
    "TextOptions": "text.",
    "TextFormat": "text.format.",
    "ReasoningOptions": "reasoning.",
    "PickedTool": "tool_choice.",
}
_RESPONSES: Schema = {"input": "Name three primary colors.", "max_output_tokens": 100}
_MESSAGES: Schema = {"max_tokens": 100, "messages": [{"role": "user", "content": "Name three primary colors."}]}
_COUNT: Schema = {"messages": [{"role": "user", "content": "Name three primary colors."}]}
_CHAT: Schema = {
    "messages": [{"role": "user", "content": "Name three primary colors."}],
    "temperature": 0,
    "max_tokens": 100,
}
_TEXT: Schema = {"prompt": "The capital of France is", "temperature": 0, "max_tokens": 8}
_END: Schema = {"id": "chatcmpl-0123456789abcdef01234567", "action": "reasoning_end"}
_OBJECT: Schema = {"type": "object"}
ERROR: Schema = {
    "type": "object",
    "required": ["error", "status_code"],
    "properties": {
        "status_code": {"type": "integer"},
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code", "id"],
            "properties": {
                name: {"type": ["string", "null"] if name == "param" else "string"}
                for name in ("message", "type", "param", "code", "id")
            },
        },
    },
}
SCHEMES: Schema = {  # how a key is carried
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_FAULT = "MessagesError"
_FAULT_SCHEMA: Schema = {
    "type": "object",
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"enum": ["error"]},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        },
        "request_id": {"type": "string"},
    },
}
_READ = {  # what is asked for with GET: (summary, media type)
    "/v1/models": ("The models that are served.", "application/json"),
    "/v1/models/{model_id}": ("One of them.", "application/json"),
    "/v1/limits": (
        "Limits, balance and budgets that bind the key, and how they stand; nothing where no key is asked for.",
        "application/json",
    ),
    "/v1/tcp_warming": ("Opens a connection early.", "application/json"),
    "/health": (
        "Whether requests are taken; `model` in the query asks about one of several; needs no key.",
        "application/json",
    ),
    "/metrics": ("Figures for Prometheus.", "text/plain"),
    "/props": ("Facts about a model and its server; `model` in the query names one of several.", "application/json"),
    "/version": ("The server's version.", "application/json"),
    "/openapi.json": ("This document.", "application/json"),
}


def document(version: str, *, key: bool) -> Schema:
    """The whole description. key: requests have to carry one."""
    components = {**_bodies(), "Error": ERROR, _FAULT: _FAULT_SCHEMA}
    asked: list[Schema] = [{name: []} for name in SCHEMES]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Undiced", "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "security": asked if key else [{}],
        "paths": _paths(),
        "components": {"schemas": components, "securitySchemes": SCHEMES},
    }


def _paths() -> Schema:
    paths: Schema = {
        "/v1/chat/completions": {"post": _post("chatCompletions", "Answers a conversation.", "ChatBody", _CHAT)},
        "/v1/chat/completions/input_tokens": {
            "post": _post("inputTokens", "Counts a conversation's tokens.", "ChatBody", _CHAT)
        },
        "/v1/responses": {
            "post": _post("responses", "Answers in OpenAI's Responses format.", "ResponseBody", _RESPONSES)
        },
        "/v1/responses/input_tokens": {
            "post": _post("responseTokens", "Counts a prompt's tokens.", "ResponseBody", _RESPONSES)
        },
        "/v1/messages": {
            "post": _post(
                "messages", "Answers a conversation in Anthropic's format.", "MessagesBody", _MESSAGES, _FAULT
            )
        },
        "/v1/messages/count_tokens": {
            "post": _post("countTokens", "Counts a conversation's tokens.", "CountBody", _COUNT, _FAULT)
        },
        "/v1/embeddings": {
            "post": _post("embeddings", "Turns texts into vectors.", "EmbeddingBody", {"input": "Hello"})
        },
        "/v1/tokenize": {
            "post": _post("tokenize", "Turns a text into token ids.", "TokenizeBody", {"prompt": "Hello"})
        },
        "/v1/detokenize": {
            "post": _post("detokenize", "Turns token ids into text.", "DetokenizeBody", {"tokens": [1, 2]})
        },
        "/v1/chat/completions/control": {"post": _post("control", "Ends a thought.", "Control", _END)},
        "/v1/completions": {"post": _post("completions", "Continues texts.", "CompletionBody", _TEXT)},
    }
    for path, (summary, kind) in _READ.items():
        shown: Schema = {"$ref": _REF.format(name="OwnLimits")} if path == "/v1/limits" else _shown(kind)
        get: Schema = {"summary": summary, "responses": _responses({kind: {"schema": shown}})}
        if path == "/health":
            get["security"] = [{}]
        if "{" in path:
            get["parameters"] = [{"name": "model_id", "in": "path", "required": True, "schema": {"type": "string"}}]
        if path in ("/health", "/props"):
            get["parameters"] = [{"name": "model", "in": "query", "schema": {"type": "string"}}]
        paths[path] = {"get": get}
    return paths


def _post(name: str, summary: str, body: str, example: Schema, error: str = "Error") -> Schema:
    content = {"application/json": {"schema": {"$ref": _REF.format(name=body)}, "example": example}}
    answers = {"application/json": {"schema": _OBJECT}, "text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": _responses(answers, error),
    }


def _responses(content: Schema, name: str = "Error") -> Schema:
    error = {"application/json": {"schema": {"$ref": _REF.format(name=name)}}}
    return {
        "200": {"description": "The answer.", "content": content},
        "default": {"description": "What is wrong, and what to do.", "content": error},
    }


def _shown(kind: str) -> Schema:
    return _OBJECT if kind == "application/json" else {"type": "string"}


def _bodies() -> dict[str, Schema]:
    kinds = [ChatBody, CompletionBody, Control, EmbeddingBody, TokenizeBody, DetokenizeBody, MessagesBody, CountBody]
    kinds += [ResponseBody, OwnLimits]
    _, found = msgspec.json.schema_components(kinds, schema_hook=anything, ref_template=_REF)
    return {name: _described(_lines(name), schema) if _lines(name) else schema for name, schema in found.items()}


def anything(_: type) -> Schema:
    """What is said of a value of which nothing is known."""
    return {"description": "Any value."}


def _lines(name: str) -> list[Field]:
    """What is known of the members of an object; nothing of one whose members speak for themselves."""
    if name in _OF_MESSAGES:
        return list(anthropic.TABLE[_OF_MESSAGES[name]])
    if name in _OF_RESPONSES:
        return list(responses.TABLE[_OF_RESPONSES[name]])
    place, where = _KINDS.get(name, ("", Where(0)))
    return [line for line in TABLE[place] if line.where & where and line.name != ANY]


def _described(here: list[Field], schema: Schema) -> Schema:
    """A request's object with the meaning of its members; those that are harmless are in it, and refused ones named."""
    typed = schema["properties"]
    assert isinstance(typed, dict)
    properties = {line.name: _member(line, typed.get(line.name, {})) for line in here if line.fate is not Fate.REFUSED}
    refused = sorted({line.name for line in here if line.fate is Fate.REFUSED})
    described: Schema = {**schema, "properties": properties}
    return described | ({"x-refused": refused} if refused else {})


def _member(line: Field, typed: Schema) -> Schema:
    if line.fate is Fate.HARMLESS:
        return {"description": f"Changes nothing: {line.note}."}
    member: Schema = {"description": f"{line.note}."} | {k: v for k, v in typed.items() if k != "default"}
    numbers = _number(line, typed)
    if numbers:
        member.pop("anyOf", None)
    return member | numbers


def _number(line: Field, typed: Schema) -> Schema:
    """Type and range of a number; null is what the model brings, or off."""
    options = typed.get("anyOf")
    if not isinstance(options, list) or {"type": "number"} not in options:
        return {}
    kind: Schema = {"type": ["integer" if line.name in WHOLE else "number"] + ["null"] * ({"type": "null"} in options)}
    if line.name in RANGES:
        span = RANGES[line.name]
        return kind | {"minimum": span.low, "maximum": span.high}
    return kind | ({"minimum": 0, "maximum": TOP_LOGPROBS_MAX} if line.name == "logprobs" else {"minimum": 1})
