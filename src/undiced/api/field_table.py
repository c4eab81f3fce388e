"""Every member of a request that we know of, by the object it stands in: what becomes of it, and whose API has it.

Sources: the request types of openai, cerebras-cloud-sdk, vLLM, SGLang, llama-server (server-schema.cpp), Ollama's and
LM Studio's compatible APIs, and the references of Anthropic, OpenRouter, Groq, Mistral, DashScope, Fireworks and
text-generation-webui, whose members reach a server like this one by mistake or by habit.
"""

from __future__ import annotations

from undiced.api.fields import ANY, Examiner, Fate, Field, Json, Table, Where

BOTH, CHAT, TEXT = Where.BOTH, Where.CHAT, Where.TEXT
OFF: tuple[Json, ...] = (False,)
ON: tuple[Json, ...] = (True,)
EMPTY: tuple[Json, ...] = ("", [], {}, False)
ZERO: tuple[Json, ...] = (0, False)
NEVER: tuple[Json, ...] = ()


def _serve(
    origin: str, note: str, *names: str, where: Where = BOTH, neutral: tuple[Json, ...] = ()
) -> tuple[Field, ...]:
    return tuple(Field(name, Fate.SERVED, note, origin, where, neutral) for name in names)


def _ignore(origin: str, note: str, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, Fate.HARMLESS, note, origin) for name in names)


def _refuse(
    origin: str, note: str, where: Where = BOTH, remedy: str = "Leave it out.", **names: tuple[Json, ...]
) -> tuple[Field, ...]:
    return tuple(Field(name, Fate.REFUSED, note, origin, where, neutral, remedy) for name, neutral in names.items())


_SERVED = (
    *_serve("OpenAI", "the served id, or the reference the server was started with", "model"),
    *_serve("OpenAI", "the conversation", "messages", where=CHAT, neutral=([],)),
    *_serve("OpenAI", "a text, token ids, or a list of either", "prompt", where=TEXT, neutral=("", [])),
    *_serve(
        "OpenAI",
        "1 or more; -1 or absent: whatever fits the context. The two names mean the same; given both, they must agree",
        "max_tokens",
        "max_completion_tokens",
    ),
    *_serve(
        "Cerebras, vLLM",
        "before that many tokens nothing ends the answer: no end token, no stop token, no stop string",
        "min_tokens",
        "min_completion_tokens",
    ),
    *_serve("OpenAI", "0 to 2 and 0 to 1; both 1 unless given", "temperature", "top_p"),
    *_serve("vLLM", "-1 and 0: off", "top_k"),
    *_serve("vLLM", "0 to 1; 0: off", "min_p"),
    *_serve("OpenAI", "-2 to 2", "frequency_penalty", "presence_penalty"),
    *_serve("vLLM", "0.01 to 100; 1: off; counts the prompt's tokens too", "repetition_penalty"),
    *_serve("OpenAI", "1 to 16, and at most `--max-queue`; seeds of the choices differ", "n"),
    *_serve("OpenAI", "equal seeds give equal answers, whatever else runs; -1: a fresh one", "seed"),
    *_serve(
        "OpenAI",
        "up to 4 strings; text and `usage` end at the token that completes one. A control token's name in one matches "
        "that token",
        "stop",
    ),
    *_serve("vLLM", "token ids that end the answer", "stop_token_ids"),
    *_serve("vLLM", "generate through the model's end tokens", "ignore_eos"),
    *_serve("OpenAI", "up to 1024 token ids, -100 to 100", "logit_bias"),
    *_serve("OpenAI", "chat: true; text: 0 to 20", "logprobs"),
    *_serve("OpenAI", "0 to 20 likely tokens; needs `logprobs`", "top_logprobs", where=CHAT, neutral=(0,)),
    *_serve("OpenAI", "server-sent events", "stream", "stream_options"),
    *_serve(
        "OpenAI",
        "the text begins with the prompt; with `logprobs` its tokens have log-probabilities too, but for the first",
        "echo",
        where=TEXT,
        neutral=OFF,
    ),
    *_serve("OpenAI", "as many as `n`", "best_of", where=TEXT, neutral=(0, 1)),
    *_serve("OpenAI", "type `text` alone", "response_format"),
    *_serve("OpenAI", "text alone", "modalities", where=CHAT, neutral=([], ["text"])),
    *_serve("OpenAI", "an empty list, or tools with `tool_choice` none", "tools", where=CHAT, neutral=([],)),
    *_serve("OpenAI", "none or auto", "tool_choice", where=CHAT, neutral=("none", "auto")),
    *_serve("OpenAI", "an empty list, or functions with `function_call` none", "functions", where=CHAT, neutral=([],)),
    *_serve("OpenAI", "none or auto", "function_call", where=CHAT, neutral=("none", "auto")),
    *_serve("vLLM", "the text ends with the stop string, or the stop token's text", "include_stop_str_in_output"),
    *_serve("vLLM", "false: control tokens are written into the text by their names", "skip_special_tokens"),
    *_serve("vLLM", "false: the prompt ends behind the last message", "add_generation_prompt", where=CHAT, neutral=ON),
    *_serve(
        "vLLM",
        "true: the answer goes on with the last message; excludes `add_generation_prompt`",
        "continue_final_message",
        where=CHAT,
        neutral=OFF,
    ),
    *_serve(
        "vLLM",
        "variables of the chat template; one that the model's template does not read is refused",
        "chat_template_kwargs",
        where=CHAT,
        neutral=({},),
    ),
    *_serve("vLLM", "a list of objects, where the chat template reads them", "documents", where=CHAT, neutral=([],)),
    *_serve(
        "OpenAI, OpenRouter",
        "none, minimal, low, medium, high, xhigh or max. Where the chat template has a switch alone, none is off and "
        "the others are on; where it has neither, what the model doesn't do anyway is refused, but for medium",
        "reasoning_effort",
        "reasoning",
        where=CHAT,
        neutral=({},),
    ),
    *_serve(
        "DashScope, DeepSeek, Cerebras",
        "the thinking switch of the chat template: true or false, and for `thinking` also an object with the type "
        "`enabled` or `disabled`. A model that can't do what is asked refuses",
        "enable_thinking",
        "thinking",
        "disable_reasoning",
        where=CHAT,
        neutral=OFF,
    ),
    *_serve("vLLM", "up to 256 characters; cached prefixes are shared only among requests with the same", "cache_salt"),
)

_HARMLESS = (
    *_ignore("OpenAI", "books and labels on the client's side", "user", "metadata", "store", "safety_identifier"),
    *_ignore("OpenAI", "hints for a cache that is automatic here", "prompt_cache_key", "prompt_cache_retention"),
    *_ignore("OpenAI", "hints for a cache that is automatic here", "prompt_cache_options"),
    *_ignore("OpenAI", "asks for speed, not for another answer", "service_tier", "prediction"),
    *_ignore("OpenAI", "about tools, which the model cannot call", "parallel_tool_calls", "max_tool_calls"),
    *_ignore("vLLM, SGLang", "order, place and names of the work", "priority", "request_id", "rid", "session_id"),
    *_ignore("SGLang", "order, place and names of the work", "extra_key", "custom_labels", "data_parallel_rank"),
    *_ignore("SGLang", "order, place and names of the work", "routed_dp_rank", "disagg_prefill_dp_rank"),
    *_ignore("SGLang", "order, place and names of the work", "bootstrap_host", "bootstrap_port", "bootstrap_room"),
    *_ignore("vLLM", "control tokens are written without spaces around them", "spaces_between_special_tokens"),
    *_ignore("vLLM", "about images and sound, which are refused where they stand", "mm_processor_kwargs"),
    *_ignore("vLLM", "about images and sound, which are refused where they stand", "media_io_kwargs"),
    *_ignore("SGLang", "about images and sound, which are refused where they stand", "images_config"),
    *_ignore("SGLang", "about images and sound, which are refused where they stand", "max_dynamic_patch"),
    *_ignore("SGLang", "about images and sound, which are refused where they stand", "min_dynamic_patch"),
    *_ignore("SGLang", "about images and sound, which are refused where they stand", "use_audio_in_video"),
    *_ignore("vLLM", "how many tokens share an event", "stream_interval"),
    *_ignore("vLLM", "of other endpoints", "return_token_offsets", "return_mm_kwargs", "routed_experts_prompt_start"),
    *_ignore("SGLang", "of a feature that is refused", "routed_experts_start_len", "ngram_corpus_id"),
    *_ignore(
        "llama-server", "what is kept in memory, and where", "cache_prompt", "id_slot", "slot_id", "n_cache_reuse"
    ),
    *_ignore("llama-server", "of a window that slides; a full context ends the answer here", "n_keep", "n_discard"),
    *_ignore("llama-server", "comments in a silent stream", "sse_ping_interval"),
    *_ignore("llama-server", "where tokens are drawn", "backend_sampling"),
    *_ignore("llama-server", "read only with mirostat, which is refused", "mirostat_tau", "mirostat_eta"),
    *_ignore("llama-server", "read only with dry_multiplier, which is refused", "dry_base", "dry_allowed_length"),
    *_ignore("llama-server", "read only with dry_multiplier, which is refused", "dry_penalty_last_n"),
    *_ignore("llama-server", "read only with dry_multiplier, which is refused", "dry_sequence_breakers"),
    *_ignore("llama-server", "read only with xtc_probability, which is refused", "xtc_threshold"),
    *_ignore("llama-server", "read only with dynatemp_range, which is refused", "dynatemp_exponent"),
    *_ignore("llama-server", "read only with adaptive_target, which is refused", "adaptive_decay"),
    *_ignore("llama-server", "guesses change speed, not answers", "speculative.n_max", "speculative.n_min"),
    *_ignore("llama-server", "guesses change speed, not answers", "speculative.p_min", "speculative.type"),
    *_ignore(
        "llama-server", "guesses change speed, not answers", "speculative.ngram_size_n", "speculative.ngram_size_m"
    ),
    *_ignore("llama-server", "guesses change speed, not answers", "speculative.ngram_m_hits"),
    *_ignore("LM Studio, Ollama", "how long a model stays loaded", "ttl", "keep_alive"),
    *_ignore("LM Studio", "guesses change speed, not answers", "draft_model"),
    *_ignore("Ollama", "the context is set where the server starts", "num_ctx"),
    *_ignore("OpenRouter", "which of several hosts answers", "provider", "route", "models"),
    *_ignore("OpenRouter", "usage is always counted", "usage", "trace"),
    *_ignore("Anthropic", "versions and places of another service", "anthropic_version", "inference_geo", "speed"),
    *_ignore("Anthropic", "hints for a cache that is automatic here", "cache_control"),
    *_ignore("Groq", "checks that are not made", "disable_tool_validation"),
    *_ignore("DashScope", "text comes as it is made", "incremental_output"),
)

_FORM = "the form of an answer cannot be constrained yet"
_DRAW = "tokens would be drawn in another way"
_MORE = "it asks for something in the answer that is not there"
_LENGTH = "it is another name for the answer's length"
_PROMPT = "the prompt would be another one"
_TOOLS = "the model has no such tools"
_THINK = "a model's thinking cannot be bounded or moved yet"

_CONSTRAINED = (
    *_refuse("vLLM", _FORM, structured_outputs=NEVER, guided_json=NEVER, guided_regex=("",), guided_choice=([],)),
    *_refuse("vLLM", _FORM, guided_grammar=("",), guided_decoding_backend=NEVER, guided_whitespace_pattern=NEVER),
    *_refuse("vLLM", _FORM, structural_tag=NEVER, guided_decoding=NEVER),
    *_refuse("SGLang", _FORM, regex=("",), ebnf=("",)),
    *_refuse("llama-server", _FORM, grammar=("",), json_schema=NEVER, grammar_lazy=OFF, grammar_triggers=([],)),
    *_refuse("llama-server", _FORM, preserved_tokens=([],), grammar_type=("",), n_indent=(0,)),
    *_refuse("Cerebras", _FORM, TEXT, grammar_root=("",)),
    *_refuse("Ollama", _FORM, format=("",)),
    *_refuse("Anthropic", _FORM, output_format=NEVER, output_config=({},)),
    *_refuse("text-generation-webui", _FORM, grammar_string=("",)),
    *_refuse("vLLM", "tokens cannot be forbidden by a list yet", remedy="Use logit_bias.", allowed_token_ids=NEVER),
    *_refuse("vLLM", "words cannot be forbidden yet", remedy="Use logit_bias.", bad_words=([],), bad_words_ids=([],)),
    *_refuse("text-generation-webui", "words cannot be forbidden yet", banned_strings=EMPTY, custom_token_bans=("",)),
    *_refuse("OpenAI", "an answer that fills a gap is another one", TEXT, suffix=("",)),
    *_refuse("OpenAI", "answers cannot be made shorter or longer by a word", verbosity=("medium",)),
)

_SAMPLERS = (
    *_refuse("vLLM", _DRAW, use_beam_search=OFF, length_penalty=(1,), early_stopping=OFF, watermarking=OFF),
    *_refuse("vLLM", _DRAW, logits_processors=([],), repetition_detection=NEVER, vllm_xargs=({},)),
    *_refuse("SGLang", _DRAW, custom_logit_processor=("",), custom_params=({},)),
    *_refuse("llama-server", _DRAW, remedy="Use repetition_penalty.", repeat_penalty=(1,)),
    *_refuse("llama-server", "penalties count the whole text", repeat_last_n=(-1,)),
    *_refuse("llama-server", _DRAW, typical_p=(1,), top_n_sigma=(-1, 0), xtc_probability=ZERO, dynatemp_range=ZERO),
    *_refuse("llama-server", _DRAW, dry_multiplier=ZERO, mirostat=ZERO, adaptive_target=(-1,), min_keep=(0, 1)),
    *_refuse("llama-server", _DRAW, samplers=([], "")),
    *_refuse("TGI", _DRAW, remedy="Use temperature: 0.", do_sample=ON),
    *_refuse("TGI, SGLang", _LENGTH, remedy="Use max_tokens.", max_new_tokens=NEVER),
    *_refuse("OpenRouter", _DRAW, top_a=ZERO),
    *_refuse("Mistral", "it is another name for the seed", remedy="Use seed.", random_seed=NEVER),
    *_refuse("text-generation-webui", _DRAW, typical=(1,), tfs=(1,), tfs_z=(1,), epsilon_cutoff=ZERO, eta_cutoff=ZERO),
    *_refuse("text-generation-webui", _DRAW, smoothing_factor=ZERO, nsigma=(0, -1), skew=ZERO, penalty_alpha=ZERO),
    *_refuse("text-generation-webui", _DRAW, guidance_scale=(1,), negative_prompt=("",), dynamic_temperature=OFF),
    *_refuse("text-generation-webui", _DRAW, encoder_repetition_penalty=(1,), no_repeat_ngram_size=(0,)),
    *_refuse(
        "text-generation-webui", _DRAW, repetition_penalty_range=(0, -1), temperature_last=OFF, mirostat_mode=(0,)
    ),
    *_refuse("text-generation-webui", _DRAW, sampler_priority=([],), sampler_order=([],), min_length=(0,)),
    *_refuse("text-generation-webui", _DRAW, remedy="Use ignore_eos.", ban_eos_token=OFF),
)

_LENGTHS = (
    *_refuse("llama-server, Ollama", _LENGTH, remedy="Use max_tokens.", n_predict=NEVER, num_predict=NEVER),
    *_refuse("OpenAI Responses", _LENGTH, remedy="Use max_completion_tokens.", max_output_tokens=NEVER),
    *_refuse("Anthropic", _LENGTH, remedy="Use max_tokens.", max_tokens_to_sample=NEVER),
    *_refuse("llama-server", "the answer would end by the clock", t_max_predict_ms=(-1, 0), t_max_prompt_ms=(-1, 0)),
    *_refuse("llama-server", "it is another name for n", remedy="Use n.", n_cmpl=(1,)),
    *_refuse("Anthropic", "it is another name for stop", remedy="Use stop.", stop_sequences=([],)),
    *_refuse("SGLang", "answers end at strings and tokens alone", remedy="Use stop.", stop_regex=("", [])),
    *_refuse("SGLang", "it has another name", remedy="Use include_stop_str_in_output.", no_stop_trim=OFF),
)

_PROMPTS = (
    *_refuse("vLLM", _PROMPT, CHAT, chat_template=NEVER, echo=OFF, add_special_tokens=OFF),
    *_refuse("vLLM", _PROMPT, TEXT, add_special_tokens=ON, prompt_embeds=NEVER),
    *_refuse("vLLM", _PROMPT, truncate_prompt_tokens=NEVER, truncation_side=NEVER),
    *_refuse("SGLang", _PROMPT, input_ids=NEVER, session_params=({},), task=NEVER),
    *_refuse("llama-server", _PROMPT, generation_prompt=("",), thinking_forced_open=OFF, input_extra=([],)),
    *_refuse("llama-server", _PROMPT, input_prefix=("",), input_suffix=("",)),
    *_refuse("Ollama", _PROMPT, template=("",), raw=OFF, context=([],), options=({},), images=([],)),
    *_refuse("Anthropic", _PROMPT, remedy="Send a message with the role system.", system=("", [])),
    *_refuse("Anthropic", _PROMPT, container=NEVER, context_management=NEVER),
    *_refuse("OpenAI Responses", _PROMPT, remedy="Send messages.", input=("", [])),
    *_refuse("OpenAI Responses", _PROMPT, remedy="Send a message with the role system.", instructions=("",)),
    *_refuse("OpenAI Responses", _PROMPT, previous_response_id=NEVER, conversation=NEVER, truncation=("disabled",)),
    *_refuse("OpenAI Responses", "it belongs to /v1/responses", text=({},), include=([],), background=OFF),
    *_refuse("Gemini", _PROMPT, remedy="Send messages.", contents=([],), system_instruction=NEVER),
    *_refuse("Gemini", _DRAW, generation_config=({},), generationConfig=({},), systemInstruction=NEVER),
    *_refuse("OpenRouter, Fireworks", _PROMPT, transforms=([],), prompt_truncate_len=NEVER),
    *_refuse("Fireworks", _PROMPT, context_length_exceeded_behavior=("error",)),
    *_refuse("TGI", _PROMPT, inputs=("",), parameters=({},), truncate=NEVER, tool_prompt=NEVER, guideline=NEVER),
    *_refuse("Mistral", _PROMPT, safe_prompt=OFF, prompt_mode=NEVER),
    *_refuse("text-generation-webui", _PROMPT, instruction_template=NEVER, instruction_template_str=NEVER),
    *_refuse("text-generation-webui", _PROMPT, character=NEVER, mode=("instruct",), truncation_length=NEVER),
    *_refuse("text-generation-webui", _PROMPT, add_bos_token=ON),
    *_refuse("vLLM, SGLang", "adapters are not served", lora_path=EMPTY, lora_request=EMPTY, lora=EMPTY),
    *_refuse("TGI", "adapters are not served", adapter_id=EMPTY, adapters=EMPTY),
    *_refuse("vLLM", "the prompt would come from elsewhere", kv_transfer_params=({},), ec_transfer_params=({},)),
)

_THINKING = (
    *_refuse("DashScope", _THINK, thinking_budget=NEVER),
    *_refuse("Ollama", "it has another name", remedy="Use enable_thinking.", think=NEVER),
    *_refuse("Cerebras", _THINK, remedy="Use chat_template_kwargs.", clear_thinking=NEVER),
    *_refuse("Cerebras", _THINK, reasoning_format=("raw", "none")),
    *_refuse("vLLM", _THINK, include_reasoning=ON, thinking_token_budget=(-1,)),
    *_refuse("SGLang", _THINK, separate_reasoning=OFF, stream_reasoning=ON),
    *_refuse("llama-server", _THINK, reasoning_budget_tokens=(-1,), reasoning_budget=(-1,), reasoning_control=OFF),
    *_refuse("llama-server", _THINK, reasoning_budget_message=("",), reasoning_budget_start_tag=("",)),
    *_refuse("llama-server", _THINK, reasoning_budget_end_tag=("",), reasoning_budget_end_tags=([],)),
    *_refuse("llama-server", _THINK, reasoning_budget_arm_immediately=OFF, reasoning_in_content=OFF),
)

_EXTRAS = (
    *_refuse(
        "OpenAI's Python client",
        "it is an argument of a client, which spreads its members over the request",
        remedy="Send its members in the request itself.",
        extra_body=({},),
        extra_query=({},),
        extra_headers=({},),
    ),
    *_refuse("Cerebras", _MORE, return_raw_tokens=OFF, model_parameters=({},)),
    *_refuse("vLLM", _MORE, return_token_ids=OFF, return_tokens_as_token_ids=OFF, return_prompt_text=OFF),
    *_refuse("vLLM", _MORE, prompt_logprobs=NEVER, logprob_token_ids=NEVER),
    *_refuse("SGLang", _MORE, return_hidden_states=OFF, return_routed_experts=OFF, return_meta_info=OFF),
    *_refuse("SGLang", _MORE, return_prompt_token_ids=OFF, return_cached_tokens_details=OFF),
    *_refuse("llama-server", _MORE, remedy="Use logprobs.", n_probs=(0,), post_sampling_probs=OFF),
    *_refuse("llama-server", _MORE, timings_per_token=OFF, return_tokens=OFF, return_progress=OFF, verbose=OFF),
    *_refuse("llama-server", _MORE, response_fields=([],), chat_format=NEVER, chat_parser=("",), parse_tool_calls=OFF),
    *_refuse("TGI", _MORE, details=OFF, decoder_input_details=OFF, top_n_tokens=(0,), return_full_text=OFF),
    *_refuse("TGI", _DRAW, watermark=OFF),
    *_refuse("Fireworks", _MORE, raw_output=OFF, perf_metrics_in_response=OFF, echo_last=(0,)),
    *_refuse("Ollama", _MORE, _debug_render_only=OFF),
    *_refuse("OpenAI", "answers are text", audio=NEVER),
    *_refuse("OpenAI", "answers are not judged", moderation=NEVER),
    *_refuse("Together, OpenRouter", "answers are not judged", safety_model=("",), guardrails=([],)),
    *_refuse("OpenAI", _TOOLS, web_search_options=NEVER),
    *_refuse(
        "Groq", _TOOLS, search_settings=NEVER, compound_custom=NEVER, include_domains=([],), exclude_domains=([],)
    ),
    *_refuse("Groq, Mistral", _TOOLS, citation_options=NEVER),
    *_refuse("xAI", _TOOLS, search_parameters=NEVER, deferred=OFF),
    *_refuse("DashScope", _TOOLS, enable_search=OFF, search_options=NEVER, enable_code_interpreter=OFF),
    *_refuse("DashScope", _MORE, translation_options=NEVER, result_format=("message",)),
    *_refuse("Anthropic", _TOOLS, mcp_servers=([],), betas=([],)),
    *_refuse("OpenRouter", _TOOLS, plugins=([],)),
)

_MESSAGE = (
    *_serve("OpenAI", "system, developer, user, assistant or tool", "role"),
    *_serve("OpenAI", "a text, or a list of text parts", "content"),
    *_serve("OpenAI", "handed to the chat template, which may not read it", "name", "tool_calls", "tool_call_id"),
    *_serve(
        "Cerebras, vLLM",
        "an earlier answer's thinking; handed to the chat template, which may not read it",
        "reasoning",
        "reasoning_content",
    ),
    *_serve("OpenAI", "stands for content where there is none", "refusal"),
    *_ignore("OpenAI, Anthropic", "parts of an answer that is sent back", "annotations", "id", "cache_control"),
    *_refuse("OpenAI", _PROMPT, remedy="Use tool_calls.", function_call=NEVER),
    *_refuse("OpenAI", "messages are text", audio=NEVER),
    *_refuse("Ollama", "messages are text", images=([],)),
    *_refuse("Ollama", _PROMPT, remedy="Use name.", tool_name=("",)),
    *_refuse("Ollama, Anthropic", _PROMPT, remedy="Use reasoning_content.", thinking=("",), thinking_blocks=([],)),
    *_refuse("OpenRouter", _PROMPT, remedy="Use reasoning_content.", reasoning_details=([],)),
    *_refuse("SGLang", _TOOLS, tools=([],)),
    *_refuse("DeepSeek, DashScope", _PROMPT, remedy="Use continue_final_message.", prefix=OFF, partial=OFF),
)

TABLE: Table = {
    "": (
        *_SERVED,
        *_HARMLESS,
        *_CONSTRAINED,
        *_SAMPLERS,
        *_LENGTHS,
        *_PROMPTS,
        *_THINKING,
        *_EXTRAS,
    ),
    "logit_bias.": _serve("OpenAI", "a token id: -100 to 100", ANY),
    "chat_template_kwargs.": _serve("vLLM", "a variable of the chat template", ANY),
    "stream_options.": (
        *_serve("OpenAI", "usage in a last chunk without choices", "include_usage"),
        *_serve("vLLM", "usage in every chunk, with or without `include_usage`", "continuous_usage_stats"),
        *_ignore("OpenAI", "padding of events", "include_obfuscation"),
    ),
    "reasoning.": (
        *_serve("OpenRouter", "as `reasoning_effort`", "effort"),
        *_serve("OpenRouter", "as `enable_thinking`", "enabled"),
        *_refuse("OpenRouter", _THINK, max_tokens=NEVER, exclude=OFF, summary=NEVER, generate_summary=NEVER),
    ),
    "thinking.": (
        *_serve("Anthropic, DeepSeek", "`enabled` or `disabled`", "type"),
        *_refuse("Anthropic", _THINK, budget_tokens=NEVER, display=NEVER),
        *_refuse("DeepSeek, Z.ai", _THINK, clear_thinking=NEVER),
    ),
    "response_format.": _serve("OpenAI", "type `text` alone", "type", "json_schema", "schema"),
    "messages[].": _MESSAGE,
    "messages[].content[].": (
        *_serve("OpenAI", "text, or an assistant's refusal", "type", "text", "refusal"),
        *_ignore("OpenAI, Anthropic", "hints for a cache", "prompt_cache_breakpoint", "cache_control"),
        *_ignore("OpenAI, Anthropic", "parts of an answer that is sent back", "annotations", "citations"),
        *_refuse("OpenAI", "messages are text", image_url=NEVER, input_audio=NEVER, file=NEVER),
        *_refuse("Cerebras, vLLM", "messages are text", image=NEVER, audio_url=NEVER, video_url=NEVER),
    ),
    "messages[].tool_calls[].": (
        *_serve("OpenAI", "an earlier call", "id", "type", "function"),
        *_ignore("Cerebras, Gemini", "parts of an answer that is sent back", "index", "extra_content"),
        *_refuse("OpenAI", "calls are of functions", custom=NEVER),
    ),
    "messages[].tool_calls[].function.": (
        *_serve("OpenAI", "an earlier call", "name", "arguments"),
        *_ignore("OpenAI", "the arguments once more", "parsed_arguments"),
    ),
}

CHAT_FIELDS = Examiner(TABLE, Where.CHAT)
TEXT_FIELDS = Examiner(TABLE, Where.TEXT)
