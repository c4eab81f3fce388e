"""Every member of a request that we know of, by the object it stands in: what becomes of it, and whose API has it.
Those of the request itself that are refused stand in `field_refusals`.

Sources: the request types of openai, cerebras-cloud-sdk, vLLM, SGLang, llama-server (server-schema.cpp), Ollama's and
LM Studio's compatible APIs, and the references of Anthropic, OpenRouter, Groq, Mistral, DashScope, Fireworks and
text-generation-webui, whose members reach a server like this one by mistake or by habit.
"""

from __future__ import annotations

from undiced.api.field_refusals import NEVER, OFF, ON, PROMPT, REFUSED, THINK, TOOLS
from undiced.api.fields import ANY, Examiner, Table, Where, harmless, refused, served

CHAT, TEXT = Where.CHAT, Where.TEXT

_SERVED = (
    *served("OpenAI", "the served id or another name of it, in any case; absent: the only model", "model"),
    *served("OpenAI", "the conversation", "messages", where=CHAT, neutral=([],)),
    *served("OpenAI", "a text, token ids, or a list of either", "prompt", where=TEXT, neutral=("", [])),
    *served(
        "OpenAI",
        "0 or more, and with the prompt no more than the context; -1: whatever fits. Absent: whatever fits in a chat, "
        "at most 16 in a text completion. With 0 the prompt is computed and nothing generated. "
        "The two names mean the same; given both, they must agree",
        "max_tokens",
        "max_completion_tokens",
    ),
    *served(
        "Cerebras, vLLM",
        "before that many tokens nothing ends the answer: no end token, no stop token, no stop string",
        "min_tokens",
        "min_completion_tokens",
    ),
    *served("OpenAI", "0 to 2 and 0 to 1. Absent: the model's own number in a chat, else 1", "temperature", "top_p"),
    *served("vLLM", "-1 and 0: off. Absent: the model's own number in a chat, else off", "top_k"),
    *served("vLLM", "0 to 1; 0: off. Absent: the model's own number in a chat, else off", "min_p"),
    *served("OpenAI", "-2 to 2", "frequency_penalty", "presence_penalty"),
    *served(
        "vLLM",
        "0.01 to 100; 1: off; counts the prompt's tokens too. Absent: the model's own number in a chat, else off",
        "repetition_penalty",
    ),
    *served("OpenAI", "1 to 16, and at most `--max-queue`; seeds of the choices differ", "n"),
    *served(
        "OpenAI",
        "equal seeds give equal answers, whatever else runs (but for rounding, where keys and values are made "
        "again); -1: a fresh one",
        "seed",
    ),
    *served(
        "OpenAI",
        "up to 4 strings; text and `usage` end at the token that completes one. A control token's name in one matches "
        "that token",
        "stop",
    ),
    *served("vLLM", "token ids that end the answer", "stop_token_ids"),
    *served("vLLM", "generate through the model's end tokens", "ignore_eos"),
    *served("OpenAI", "up to 1024 token ids, -100 to 100", "logit_bias"),
    *served("vLLM", "the only tokens that may be chosen, up to 1024 ids", "allowed_token_ids"),
    *served("OpenAI", "chat: true; text: 0 to 20", "logprobs"),
    *served("OpenAI", "0 to 20 likely tokens; needs `logprobs`", "top_logprobs", where=CHAT, neutral=(0,)),
    *served("OpenAI", "server-sent events", "stream", "stream_options"),
    *served(
        "OpenAI",
        "a text that the answer is likely to share much with, such as a file that is to be edited: what they share "
        "comes sooner, see [Guesses](#guesses). The answer stays the same",
        "prediction",
    ),
    *served(
        "OpenAI",
        "the text begins with the prompt; with `logprobs` its tokens have log-probabilities too, but for the first",
        "echo",
        where=TEXT,
        neutral=OFF,
    ),
    *served("OpenAI", "as many as `n`", "best_of", where=TEXT, neutral=(0, 1)),
    *served(
        "OpenAI, Cerebras",
        "`text`, `json_object`, or `json_schema`: the answer is a document that the schema accepts, in one line; only "
        "`max_tokens` and stop strings can cut it. With `strict` a keyword that can't be held to is refused, else it "
        "is left out and told in `x-undiced-ignored-fields`",
        "response_format",
    ),
    *served(
        "vLLM", "one of `json`, `regex`, `choice`, `grammar` and `json_object`", "structured_outputs", neutral=({},)
    ),
    *served(
        "SGLang, vLLM", "a regular expression that describes the whole answer", "regex", "guided_regex", neutral=("",)
    ),
    *served(
        "llguidance, vLLM",
        "a grammar in Lark's notation, whose `start` derives the answer",
        "grammar",
        "guided_grammar",
        neutral=("",),
    ),
    *served("llama-server, vLLM", "as a `json_schema` that is not strict", "json_schema", "guided_json"),
    *served("vLLM", "one of these texts", "guided_choice", neutral=([],)),
    *served("OpenAI", "text alone", "modalities", where=CHAT, neutral=([], ["text"])),
    *served(
        "OpenAI",
        "functions that the model may call, up to 512; `strict` is true for all of them or for none. A model that "
        "can't call refuses. With `tool_choice` none they are not in the prompt",
        "tools",
        where=CHAT,
        neutral=([],),
    ),
    *served(
        "OpenAI",
        "none, auto, required, a function by its name, or `allowed_tools`",
        "tool_choice",
        where=CHAT,
        neutral=("none", "auto"),
    ),
    *served("OpenAI", "false: the answer ends behind its first call", "parallel_tool_calls", where=CHAT, neutral=ON),
    *served(
        "OpenAI",
        "an empty list, or functions with `function_call` none; those are not in the prompt",
        "functions",
        where=CHAT,
        neutral=([],),
    ),
    *served("OpenAI", "none or auto", "function_call", where=CHAT, neutral=("none", "auto")),
    *served("vLLM", "the text ends with the stop string, or the stop token's text", "include_stop_str_in_output"),
    *served("vLLM", "false: control tokens are written into the text by their names", "skip_special_tokens"),
    *served("vLLM", "false: the prompt ends behind the last message", "add_generation_prompt", where=CHAT, neutral=ON),
    *served(
        "vLLM",
        "true: the answer goes on with the last message; excludes `add_generation_prompt`",
        "continue_final_message",
        where=CHAT,
        neutral=OFF,
    ),
    *served(
        "vLLM",
        "variables of the chat template; one that the model's template does not read is refused, but for a thinking "
        "switch that changes nothing",
        "chat_template_kwargs",
        where=CHAT,
        neutral=({},),
    ),
    *served("vLLM", "a list of objects, where the chat template reads them", "documents", where=CHAT, neutral=([],)),
    *served(
        "OpenAI, OpenRouter",
        "none, minimal, low, medium, high, xhigh or max. Where the chat template has a switch alone, none is off and "
        "the others are on; where it has neither, what the model doesn't do anyway is refused, but for medium",
        "reasoning_effort",
        "reasoning",
        where=CHAT,
        neutral=({},),
    ),
    *served(
        "Cerebras",
        "how thoughts are told: `parsed` in `reasoning`, their log-probabilities in `reasoning_logprobs`; `text_parsed`"
        " the same with all log-probabilities in `logprobs`; `raw` in the content, with their marks; `hidden` not at "
        "all; `none` what is usual for the model, see [Thinking](#thinking)",
        "reasoning_format",
        where=CHAT,
        neutral=("none",),
    ),
    *served("vLLM", "false: as `reasoning_format` hidden", "include_reasoning", where=CHAT, neutral=ON),
    *served(
        "Cerebras",
        "true: thoughts before the latest user's message are left out of the prompt; false: they are in it, or the "
        "request is refused. Absent: as the chat template does",
        "clear_thinking",
        where=CHAT,
    ),
    *served(
        "DashScope, vLLM",
        "0 or more: most tokens of a thought, which then ends; -1: no limit",
        "reasoning_max_tokens",
        "thinking_budget",
        "thinking_token_budget",
        where=CHAT,
        neutral=(-1,),
    ),
    *served(
        "DashScope, DeepSeek, Cerebras",
        "the thinking switch of the chat template: true or false, and for `thinking` also an object with the type "
        "`enabled` or `disabled`. A model that can't do what is asked refuses",
        "enable_thinking",
        "thinking",
        "disable_reasoning",
        where=CHAT,
        neutral=OFF,
    ),
    *served("vLLM", "up to 256 characters; cached prefixes are shared only among requests with the same", "cache_salt"),
    *served(
        "OpenAI, Cerebras",
        "`priority` goes before others, `flex` after them, see [Who is served next](#who-is-served-next); `auto` is "
        "`default`. The answer says which one it was",
        "service_tier",
    ),
)

_HARMLESS = (
    *harmless("OpenAI", "books and labels on the client's side", "user", "metadata", "store", "safety_identifier"),
    *harmless("OpenAI", "hints for a cache that is automatic here", "prompt_cache_key", "prompt_cache_retention"),
    *harmless("OpenAI", "hints for a cache that is automatic here", "prompt_cache_options"),
    *harmless("OpenAI", "how many calls the tools of a service make", "max_tool_calls"),
    *harmless("vLLM, SGLang", "order, place and names of the work", "priority", "request_id", "rid", "session_id"),
    *harmless("SGLang", "order, place and names of the work", "extra_key", "custom_labels", "data_parallel_rank"),
    *harmless("SGLang", "order, place and names of the work", "routed_dp_rank", "disagg_prefill_dp_rank"),
    *harmless("SGLang", "order, place and names of the work", "bootstrap_host", "bootstrap_port", "bootstrap_room"),
    *harmless("vLLM", "control tokens are written without spaces around them", "spaces_between_special_tokens"),
    *harmless("vLLM", "about images and sound, which are refused where they stand", "mm_processor_kwargs"),
    *harmless("vLLM", "about images and sound, which are refused where they stand", "media_io_kwargs"),
    *harmless("SGLang", "about images and sound, which are refused where they stand", "images_config"),
    *harmless("SGLang", "about images and sound, which are refused where they stand", "max_dynamic_patch"),
    *harmless("SGLang", "about images and sound, which are refused where they stand", "min_dynamic_patch"),
    *harmless("SGLang", "about images and sound, which are refused where they stand", "use_audio_in_video"),
    *harmless("vLLM", "how many tokens share an event", "stream_interval"),
    *harmless("vLLM", "which of its backends holds to a form", "guided_decoding_backend"),
    *harmless("vLLM", "of other endpoints", "return_token_offsets", "return_mm_kwargs", "routed_experts_prompt_start"),
    *harmless("SGLang", "of a feature that is refused", "routed_experts_start_len", "ngram_corpus_id"),
    *harmless(
        "llama-server", "what is kept in memory, and where", "cache_prompt", "id_slot", "slot_id", "n_cache_reuse"
    ),
    *harmless("llama-server", "of a window that slides; a full context ends the answer here", "n_keep", "n_discard"),
    *harmless("llama-server", "comments in a silent stream", "sse_ping_interval"),
    *harmless("llama-server", "where tokens are drawn", "backend_sampling"),
    *harmless("llama-server", "read only with mirostat, which is refused", "mirostat_tau", "mirostat_eta"),
    *harmless("llama-server", "read only with dry_multiplier, which is refused", "dry_base", "dry_allowed_length"),
    *harmless("llama-server", "read only with dry_multiplier, which is refused", "dry_penalty_last_n"),
    *harmless("llama-server", "read only with dry_multiplier, which is refused", "dry_sequence_breakers", "dry_range"),
    *harmless("llama-server", "read only with xtc_probability, which is refused", "xtc_threshold"),
    *harmless("llama-server", "read only with dynatemp_range, which is refused", "dynatemp_exponent"),
    *harmless("llama-server", "read only with adaptive_target, which is refused", "adaptive_decay"),
    *harmless("llama-server", "guesses change speed, not answers", "speculative.n_max", "speculative.n_min"),
    *harmless("llama-server", "guesses change speed, not answers", "speculative.p_min", "speculative.type"),
    *harmless(
        "llama-server", "guesses change speed, not answers", "speculative.ngram_size_n", "speculative.ngram_size_m"
    ),
    *harmless("llama-server", "guesses change speed, not answers", "speculative.ngram_m_hits"),
    *harmless("LM Studio, Ollama", "how long a model stays loaded", "ttl", "keep_alive"),
    *harmless("LM Studio", "guesses change speed, not answers", "draft_model", "num_draft_tokens", "speculation"),
    *harmless("Ollama", "the context is set where the server starts", "num_ctx"),
    *harmless("OpenRouter", "which of several hosts answers", "provider", "route", "models"),
    *harmless("OpenRouter", "usage is always counted", "usage", "trace"),
    *harmless("Anthropic", "versions and places of another service", "anthropic_version", "inference_geo", "speed"),
    *harmless("Anthropic", "hints for a cache that is automatic here", "cache_control"),
    *harmless("Groq", "checks that are not made", "disable_tool_validation"),
    *harmless("DashScope", "text comes as it is made", "incremental_output"),
)

_MESSAGE = (
    *served("OpenAI", "system, developer, user, assistant or tool", "role"),
    *served("OpenAI", "a text, or a list of text parts", "content"),
    *served("OpenAI", "handed to the chat template, which may not read it", "name"),
    *served("OpenAI", "the calls of an assistant's message; each is followed by its result", "tool_calls"),
    *served("OpenAI", "the call whose result this message is", "tool_call_id"),
    *served(
        "Cerebras, vLLM",
        "an earlier answer's thinking; handed to the chat template, which may not read it",
        "reasoning",
        "reasoning_content",
    ),
    *served("OpenAI", "stands for content where there is none", "refusal"),
    *harmless("OpenAI, Anthropic", "parts of an answer that is sent back", "annotations", "id", "cache_control"),
    *refused("OpenAI", PROMPT, remedy="Use tool_calls.", function_call=NEVER),
    *refused("OpenAI", "messages are text", audio=NEVER),
    *refused("Ollama", "messages are text", images=([],)),
    *refused("Ollama", PROMPT, remedy="Use name.", tool_name=("",)),
    *refused("Ollama, Anthropic", PROMPT, remedy="Use reasoning_content.", thinking=("",), thinking_blocks=([],)),
    *refused("OpenRouter", PROMPT, remedy="Use reasoning_content.", reasoning_details=([],)),
    *refused("SGLang", TOOLS, tools=([],)),
    *refused("DeepSeek, DashScope", PROMPT, remedy="Use continue_final_message.", prefix=OFF, partial=OFF),
)

TABLE: Table = {
    "": (
        *_SERVED,
        *_HARMLESS,
        *REFUSED,
    ),
    "logit_bias.": served("OpenAI", "a token id: -100 to 100", ANY),
    "chat_template_kwargs.": served("vLLM", "a variable of the chat template", ANY),
    "stream_options.": (
        *served("OpenAI", "usage in a last chunk without choices", "include_usage"),
        *served("vLLM", "usage in every chunk, with or without `include_usage`", "continuous_usage_stats"),
        *harmless("OpenAI", "padding of events", "include_obfuscation"),
    ),
    "reasoning.": (
        *served("OpenRouter", "as `reasoning_effort`", "effort"),
        *served("OpenRouter", "as `enable_thinking`", "enabled"),
        *served("OpenRouter", "as `reasoning_max_tokens`", "max_tokens"),
        *served("OpenRouter", "true: as `reasoning_format` hidden", "exclude"),
        *refused("OpenRouter", THINK, summary=NEVER, generate_summary=NEVER),
        *refused(
            "SGLang", "it has another name", remedy="Use effort and enabled.", reasoning_effort=NEVER, enable=NEVER
        ),
    ),
    "thinking.": (
        *served("Anthropic, DeepSeek", "`enabled` or `disabled`", "type"),
        *served("Anthropic", "as `reasoning_max_tokens`", "budget_tokens"),
        *served("Z.ai", "as `clear_thinking` of the request", "clear_thinking"),
        *refused("Anthropic", THINK, display=NEVER),
    ),
    "response_format.": (
        *served("OpenAI", "`text`, `json_object` or `json_schema`", "type"),
        *served("OpenAI", "an object with `schema` and perhaps `strict`", "json_schema"),
        *served("llama-server", "of a `json_object`, not strict", "schema"),
    ),
    "structured_outputs.": (
        *served("vLLM", "a schema, not strict", "json"),
        *served("vLLM", "a regular expression", "regex"),
        *served("vLLM", "texts", "choice"),
        *served("vLLM", "a grammar in Lark's notation", "grammar"),
        *served("vLLM", "any JSON object", "json_object"),
        *harmless("vLLM", "how its own backends work", "disable_fallback", "disable_any_whitespace"),
        *refused("vLLM", "additional properties are as the schema says", disable_additional_properties=OFF),
        *refused("vLLM", "blanks are ours to choose", whitespace_pattern=NEVER),
        *refused("vLLM", "a form holds for the whole answer", structural_tag=NEVER),
    ),
    "tools[].": (
        *served("OpenAI", "`function`", "type"),
        *served("OpenAI", "the function", "function"),
        *harmless("Anthropic", "hints for a cache that is automatic here", "cache_control"),
    ),
    "tools[].function.": (
        *served("OpenAI", "1 to 128 letters, digits, dots, colons, dashes and underscores", "name"),
        *served("OpenAI", "for the model", "description"),
        *served("OpenAI", "a JSON schema of an object; absent: no parameters", "parameters"),
        *served("OpenAI", "true: arguments fit the schema", "strict"),
    ),
    "tool_choice.": (
        *served("OpenAI", "`function` or `allowed_tools`", "type"),
        *served("OpenAI", "the function that must be called", "function"),
        *served("OpenAI", "the functions that may be called now, of all that the model is told of", "allowed_tools"),
    ),
    "tool_choice.function.": served("OpenAI", "of one of the tools", "name"),
    "tool_choice.allowed_tools.": (
        *served("OpenAI", "`auto` or `required`", "mode"),
        *served("OpenAI", "functions by their names", "tools"),
    ),
    "tool_choice.allowed_tools.tools[].": served("OpenAI", "a function by its name", "type", "function"),
    "tool_choice.allowed_tools.tools[].function.": served("OpenAI", "of one of the tools", "name"),
    "messages[].": _MESSAGE,
    "messages[].content[].": (
        *served("OpenAI", "text, or an assistant's refusal", "type", "text", "refusal"),
        *harmless("OpenAI, Anthropic", "hints for a cache", "prompt_cache_breakpoint", "cache_control"),
        *harmless("OpenAI, Anthropic", "parts of an answer that is sent back", "annotations", "citations"),
        *refused("OpenAI", "messages are text", image_url=NEVER, input_audio=NEVER, file=NEVER),
        *refused("Cerebras, vLLM", "messages are text", image=NEVER, audio_url=NEVER, video_url=NEVER),
    ),
    "messages[].tool_calls[].": (
        *served("OpenAI", "an earlier call", "id", "type", "function"),
        *harmless("Cerebras, Gemini", "parts of an answer that is sent back", "index", "extra_content"),
        *refused("OpenAI", "calls are of functions", custom=NEVER),
    ),
    "messages[].tool_calls[].function.": (
        *served("OpenAI", "an earlier call", "name"),
        *served("OpenAI", "its arguments: an object, or the JSON text of one", "arguments"),
        *harmless("OpenAI", "the arguments once more", "parsed_arguments"),
    ),
}

CHAT_FIELDS = Examiner(TABLE, Where.CHAT)
TEXT_FIELDS = Examiner(TABLE, Where.TEXT)
CONTROL_FIELDS = Examiner({"": served("llama-server", "of an answer that runs, and what to do", "id", "action")}, CHAT)
EMBEDDING_FIELDS = Examiner(
    {
        "": (
            *served("OpenAI", "a text, token ids, or a list of either", "input"),
            *served("OpenAI", "the served id or another name of it; absent: the only model", "model"),
            *served("OpenAI", "float or base64, of float32 in little-endian order", "encoding_format"),
            *served("OpenAI", "the model's own width, or absent", "dimensions"),
            *served("vLLM", "cached prefixes are shared only among requests with the same", "cache_salt"),
            *harmless("OpenAI", "labels on the client's side", "user"),
            *harmless("vLLM", "order and names of the work", "priority", "request_id"),
            *refused("vLLM", "embeddings are of length 1", normalize=ON, use_activation=ON),
            *refused(
                "vLLM, Cohere, NVIDIA", "texts are embedded alike", input_type=NEVER, truncate_prompt_tokens=NEVER
            ),
            *refused("vLLM", "the input says what is embedded", remedy="Use input.", messages=NEVER),
        )
    },
    CHAT,
)
_MODEL = served("vLLM", "the served id or another name of it; absent: the only model", "model")
TOKENIZE_FIELDS = Examiner(
    {
        "": (
            *served("vLLM", "a text; control tokens in it become single ids", "prompt"),
            *served("vLLM", "false: without the beginning token", "add_special_tokens"),
            *served("vLLM", "true: also the text of each token", "return_token_strs"),
            *_MODEL,
            *refused(
                "vLLM", "conversations have a path", remedy="Use /v1/chat/completions/input_tokens.", messages=NEVER
            ),
        )
    },
    CHAT,
)
DETOKENIZE_FIELDS = Examiner(
    {
        "": (
            *served("vLLM", "token ids", "tokens"),
            *served("vLLM", "false: control tokens are written by their names", "skip_special_tokens"),
            *_MODEL,
        )
    },
    CHAT,
)
