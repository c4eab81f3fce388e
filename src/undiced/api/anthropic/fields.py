"""Every member of a request of the Messages API that we know of, by the object it stands in: what becomes of it.

Source: the request types of anthropic 2.14.0. What isn't listed is skipped and told in `x-undiced-ignored-fields`, as
`context_management`, whose edits would shorten the prompt.
"""

from __future__ import annotations

from undiced.api.fields import Examiner, Field, Json, Table, Where, harmless, refused, served

_OURS = "Anthropic"
_NEVER: tuple[Json, ...] = ()
_CACHE = harmless(_OURS, "hints for a cache that is automatic here", "cache_control")
_BACK = "parts of an answer that is sent back"


def _own(note: str, *names: str) -> tuple[Field, ...]:
    return served(_OURS, note, *names)


_TEXT = (*_own("text alone", "type", "text"), *_CACHE, *harmless(_OURS, _BACK, "citations"))

TABLE: Table = {
    "": (
        *_own("the served id or another name of it, in any case; absent: the only model", "model"),
        *_own("the conversation; where the assistant spoke last, the answer goes on with it", "messages"),
        *_own("a text, or a list of texts", "system"),
        *_own(
            "most tokens of the answer, thoughts included; what the context leaves, if that is less, or with -1",
            "max_tokens",
        ),
        *_own("up to 4 strings that end the answer", "stop_sequences"),
        *_own("server-sent events", "stream"),
        *_own("tools that the client runs; those with dated types are skipped", "tools"),
        *_own("whether tools may be called, or must be", "tool_choice"),
        *_own("whether the model thinks; absent: as its chat template does", "thinking"),
        *_own("how hard it thinks, and the form of the answer", "output_config"),
        *_own("0 to 2 and 0 to 1. Absent: the model's own number, else 1", "temperature", "top_p"),
        *_own("-1 and 0: off. Absent: the model's own number, else off", "top_k"),
        *_CACHE,
        *harmless(_OURS, "books and labels on the client's side", "metadata", "user_profile_id", "workspace_id"),
        *harmless(_OURS, "asks for speed, price or place, not for another answer", "service_tier", "speed"),
        *harmless(_OURS, "asks for speed, price or place, not for another answer", "inference_geo", "billing_policy"),
        *harmless(_OURS, "what another service does when it fails", "fallbacks", "fallback_credit_token"),
        *harmless(_OURS, "versions and reports of another service", "betas", "anthropic_version", "diagnostics"),
        *refused(_OURS, "there are no such tools", container=_NEVER, mcp_servers=([],)),
        *refused(_OURS, "no conversation is kept here", remedy="Send all messages.", thread=_NEVER),
        *refused(_OURS, "it has another name", remedy="Use output_config.format.", output_format=_NEVER),
        *refused(_OURS, "it has another name", remedy="Use max_tokens.", max_tokens_to_sample=_NEVER),
    ),
    "system[].": _TEXT,
    "messages[].": (*_own("user, assistant or system", "role"), *_own("a text, or a list of blocks", "content")),
    "messages[].content[].": (
        *_own("text, tool_use, tool_result, thinking or redacted_thinking; the last is skipped", "type", "data"),
        *_own("a text", "text"),
        *_own("an earlier call", "id", "name", "input"),
        *_own("the result of a call: a text, or a list of texts", "tool_use_id", "content"),
        *_own("true: a result without a text is `error`", "is_error"),
        *_own("an earlier thought, or what carries it", "thinking", "signature"),
        *_CACHE,
        *harmless(_OURS, _BACK, "citations", "caller", "toolset_name"),
    ),
    "messages[].content[].content[].": _TEXT,
    "tools[].": (
        *_own("custom, or absent", "type"),
        *_own("1 to 128 letters, digits, dots, colons, dashes and underscores", "name"),
        *_own("for the model", "description"),
        *_own("a JSON schema of an object", "input_schema"),
        *_own("true: arguments fit the schema", "strict"),
        *_CACHE,
        *harmless(_OURS, "all tools are in the prompt, and called by the client", "defer_loading", "allowed_callers"),
        *harmless(_OURS, "arguments come as they are made", "eager_input_streaming"),
    ),
    "tool_choice.": (
        *_own("auto, any, tool or none", "type"),
        *_own("the tool that must be called", "name"),
        *_own("true: the answer ends behind its first call", "disable_parallel_tool_use"),
    ),
    "thinking.": (
        *_own("adaptive, enabled or disabled", "type"),
        *_own("most tokens of a thought, which then ends", "budget_tokens"),
        *_own("summarized: thoughts are told as they are; omitted: their signatures carry them", "display"),
    ),
    "output_config.": (
        *_own("low, medium, high, xhigh or max; skipped where the model does not think, or shall not", "effort"),
        *_own("the form of the answer", "format"),
    ),
    "output_config.format.": (
        *_own("json_schema", "type"),
        *_own("the answer is a document that it accepts; a keyword that can't be held to is refused", "schema"),
    ),
}

MESSAGES_FIELDS = Examiner(TABLE, Where.CHAT)
