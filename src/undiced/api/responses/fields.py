"""Every member of a Responses request that we know of, by the object it stands in, and what becomes of it. Data; see
`api.fields`.

Sources: the request types of openai, and what the Codex CLI sends.
"""

from __future__ import annotations

from undiced.api.field_refusals import EMPTY, NEVER, OFF, PROMPT
from undiced.api.fields import ANY, Examiner, Field, Table, Where, harmless, refused, served

_OPENAI, _CODEX = "OpenAI Responses", "Codex"
_BACK = "parts of an answer that is sent back"
_STORE = "answers are not stored"
_WHOLE = "Send the whole conversation in input."
_CACHE = "hints for a cache that is automatic here"

TABLE: Table = {
    "": (
        *served(_OPENAI, "the served id or another name of it, in any case; absent: the only model", "model"),
        *served(_OPENAI, "a text, or the items of the conversation", "input"),
        *served(_OPENAI, "goes before everything else, in the system message", "instructions"),
        *served(
            _OPENAI,
            "functions, custom tools, and namespaces of both. Those that a service would run are skipped and told in "
            "`x-undiced-ignored-fields`",
            "tools",
        ),
        *served(_OPENAI, "none, auto, required, one tool, or `allowed_tools`", "tool_choice"),
        *served(_OPENAI, "false: the answer ends behind its first call", "parallel_tool_calls"),
        *served(_OPENAI, "the form of the answer", "text"),
        *served(_OPENAI, "how hard the model shall think", "reasoning"),
        *served(
            _OPENAI,
            "`message.output_text.logprobs`. `reasoning.encrypted_content` changes nothing: thoughts are told in plain "
            "text, and taken back as such",
            "include",
        ),
        *served(_OPENAI, "0 to 20 likely tokens beside each", "top_logprobs"),
        *served(
            _OPENAI, "most tokens of thoughts, text and calls together; absent: whatever fits", "max_output_tokens"
        ),
        *served(_OPENAI, "as in a chat", "temperature", "top_p"),
        *served("vLLM", "as in a chat", "top_k", "min_p", "seed", "cache_salt"),
        *served(_OPENAI, "as in a chat", "service_tier"),
        *served(_OPENAI, "server-sent events", "stream"),
        *served(_OPENAI, "texts by name; sent back with the answer", "metadata"),
        *harmless(_OPENAI, "accepted, and nothing is stored", "store"),
        *harmless(_OPENAI, "books and labels on the client's side", "user", "safety_identifier"),
        *harmless(_CODEX, "books and labels on the client's side", "client_metadata"),
        *harmless(_OPENAI, _CACHE, "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
        *harmless(_OPENAI, "how many calls the tools of a service make", "max_tool_calls"),
        *harmless(_OPENAI, "padding of events", "stream_options"),
        *harmless(_OPENAI, "of other services of that API", "access_programs", "image"),
        *refused(_OPENAI, _STORE, remedy=_WHOLE, previous_response_id=NEVER, conversation=NEVER),
        *refused(_OPENAI, _STORE, background=OFF, background_options=NEVER),
        *refused(_OPENAI, PROMPT, remedy="Send input.", prompt=NEVER, messages=EMPTY),
        *refused(_OPENAI, PROMPT, truncation=("disabled",), context_management=([],)),
        *refused(_OPENAI, "answers are not judged", moderation=NEVER),
        *refused(_OPENAI, "it has another name", remedy="Use max_output_tokens.", max_tokens=NEVER),
        *refused(_OPENAI, "it has another name", remedy="Use text.format.", response_format=NEVER),
        *refused(_OPENAI, "answers end at the model's own end", stop=EMPTY),
    ),
    "metadata.": served(_OPENAI, "a label", ANY),
    "text.": (
        *served(_OPENAI, "text, json_object or json_schema", "format"),
        *served(_OPENAI, "medium; another one is skipped and told in `x-undiced-ignored-fields`", "verbosity"),
    ),
    "text.format.": (
        *served(_OPENAI, "`text`, `json_object` or `json_schema`", "type"),
        *served(_OPENAI, "of a `json_schema`", "schema", "strict", "name", "description"),
    ),
    "reasoning.": (
        *served(
            _OPENAI,
            "as `reasoning_effort` of a chat; skipped and told where the model does not think",
            "effort",
        ),
        *harmless(_OPENAI, "thoughts are told as they are, which says more", "summary", "generate_summary"),
        *harmless(_OPENAI, "thoughts that are sent back go to the chat template, which decides", "context"),
    ),
    "tool_choice.": (
        *served(_OPENAI, "`function`, `custom` or `allowed_tools`", "type"),
        *served(_OPENAI, "of the tool that must be called", "name"),
        *served(_OPENAI, "of `allowed_tools`: auto or required", "mode"),
        *served(_OPENAI, "of `allowed_tools`: tools by type and name", "tools"),
    ),
}
_TYPE = served(_OPENAI, "what it is", "type")
_PARTS: Table = {
    place: (
        *served(_OPENAI, "text, or an assistant's refusal", "type", "text", "refusal"),
        *harmless(_OPENAI, _BACK, "annotations", "logprobs"),
        *harmless(_OPENAI, _CACHE, "prompt_cache_breakpoint"),
        *refused(_OPENAI, "messages are text", image_url=NEVER, file_id=NEVER, file_data=NEVER, file_url=NEVER),
    )
    for place in ("content[].", "summary[].", "output[].")
}
_SENT_BACK = harmless(_OPENAI, _BACK, "id", "status", "phase", "created_by", "agent", "async")
_CALL = served(_OPENAI, "of the call", "call_id", "name", "namespace")


def _item(*lines: Field) -> Examiner:
    found = (*_TYPE, *_SENT_BACK, *lines)
    return Examiner({"": found, **_PARTS}, Where.CHAT)


MESSAGE_FIELDS = _item(*served(_OPENAI, "who said it, and what", "role", "content"))
REASONING_FIELDS = _item(*served(_OPENAI, "a thought", "content", "summary", "encrypted_content"))
CALL_FIELDS = _item(
    *_CALL, *served(_OPENAI, "the JSON text of an object", "arguments"), *harmless(_OPENAI, _BACK, "caller")
)
CUSTOM_CALL_FIELDS = _item(*_CALL, *served(_OPENAI, "a text", "input"), *harmless(_OPENAI, _BACK, "caller"))
RESULT_FIELDS = _item(
    *served(_OPENAI, "of the call, and what came of it", "call_id", "output"),
    *harmless(_OPENAI, _BACK, "name", "namespace", "caller"),
)
ADDED_FIELDS = _item(*served(_OPENAI, "tools, as in the request", "tools"), *harmless(_OPENAI, "who adds them", "role"))

RESPONSE_FIELDS = Examiner(TABLE, Where.CHAT)
_TOOL = (*_TYPE, *served(_OPENAI, "for the model", "name", "description"))
_WHEN = harmless(
    _OPENAI, "when a service would load or call it", "defer_loading", "allowed_callers", "output_schema", "async"
)
FUNCTION_FIELDS = Examiner(
    {"": (*_TOOL, *_WHEN, *served(_OPENAI, "its arguments", "parameters", "strict"))}, Where.CHAT
)
CUSTOM_FIELDS = Examiner(
    {
        "": (*_TOOL, *_WHEN, *served(_OPENAI, "what its input looks like", "format")),
        "format.": served(_OPENAI, "text, or a grammar", "type", "syntax", "definition"),
    },
    Where.CHAT,
)
NAMESPACE_FIELDS = Examiner({"": (*_TOOL, *_WHEN, *served(_OPENAI, "its tools", "tools"))}, Where.CHAT)
