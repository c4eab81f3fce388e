"""The members of a request that are refused by name, because they would change an answer and are not served. Data;
`fields` says how it is read.

Sources: see `field_table`.
"""

from __future__ import annotations

from undiced.api.fields import Json, Where, refused

CHAT, TEXT = Where.CHAT, Where.TEXT
OFF: tuple[Json, ...] = (False,)
ON: tuple[Json, ...] = (True,)
EMPTY: tuple[Json, ...] = ("", [], {}, False)
ZERO: tuple[Json, ...] = (0, False)
NEVER: tuple[Json, ...] = ()

_FORM = "the form of an answer has other names here"
_USE = "Use response_format, regex or grammar."
_LIST = "tokens cannot be forbidden by a list yet"
_DRAW = "tokens would be drawn in another way"
_MORE = "it asks for something in the answer that is not there"
_LENGTH = "it is another name for the answer's length"
PROMPT = "the prompt would be another one"
TOOLS = "there are no such tools"
THINK = "thoughts are told and ended in other ways here"

_CONSTRAINED = (
    *refused("vLLM", _FORM, remedy=_USE, guided_decoding=NEVER, structural_tag=NEVER, guided_whitespace_pattern=NEVER),
    *refused("SGLang", _FORM, remedy=_USE, ebnf=("",)),
    *refused("llama-server", "a grammar holds from the beginning", grammar_lazy=OFF, grammar_triggers=([],)),
    *refused("llama-server", _FORM, remedy=_USE, preserved_tokens=([],), grammar_type=("",), n_indent=(0,)),
    *refused("Cerebras", "a grammar begins at start", TEXT, grammar_root=("", "start")),
    *refused("Ollama", _FORM, remedy=_USE, format=("",)),
    *refused("Anthropic", _FORM, remedy=_USE, output_format=NEVER, output_config=({},)),
    *refused("text-generation-webui", _FORM, remedy=_USE, grammar_string=("",), regex_pattern=("",)),
    *refused("NVIDIA NIM", _FORM, remedy=_USE, nvext=({},)),
    *refused("Gemini, Cohere, LangChain", _FORM, remedy=_USE, schema=NEVER, response_schema=NEVER),
    *refused("Gemini, Cohere, LangChain", _FORM, remedy=_USE, output_schema=NEVER, json_mode=OFF),
    *refused("TabbyAPI, KoboldCpp", _LIST, remedy="Use logit_bias.", banned_tokens=EMPTY, allowed_tokens=EMPTY),
    *refused("vLLM", "words cannot be forbidden yet", remedy="Use logit_bias.", bad_words=([],), bad_words_ids=([],)),
    *refused("text-generation-webui", "words cannot be forbidden yet", banned_strings=EMPTY, custom_token_bans=("",)),
    *refused("OpenAI", "an answer that fills a gap is another one", TEXT, suffix=("",)),
    *refused("OpenAI", "answers cannot be made shorter or longer by a word", verbosity=("medium",)),
)

_SAMPLERS = (
    *refused("vLLM", _DRAW, use_beam_search=OFF, length_penalty=(1,), early_stopping=OFF, watermarking=OFF),
    *refused("vLLM", _DRAW, logits_processors=([],), repetition_detection=NEVER, vllm_xargs=({},)),
    *refused("SGLang", _DRAW, custom_logit_processor=("",), custom_params=({},)),
    *refused("llama-server", _DRAW, remedy="Use repetition_penalty.", repeat_penalty=(1,)),
    *refused("llama-server", "penalties count the whole text", repeat_last_n=(-1,)),
    *refused("llama-server", _DRAW, typical_p=(1,), top_n_sigma=(-1, 0), xtc_probability=ZERO, dynatemp_range=ZERO),
    *refused("llama-server", _DRAW, dry_multiplier=ZERO, mirostat=ZERO, adaptive_target=(-1,), min_keep=(0, 1)),
    *refused("llama-server", _DRAW, samplers=([], "")),
    *refused("llama-server", _DRAW, penalize_nl=OFF, penalty_prompt=NEVER),
    *refused(
        "SGLang", "it belongs to /generate", remedy="Send its members in the request itself.", sampling_params=({},)
    ),
    *refused("MLX-LM", "penalties count the whole text", repetition_context_size=NEVER),
    *refused("TabbyAPI", _DRAW, token_healing=OFF, cfg_scale=(1,), min_temp=(1,), max_temp=(1,), temp_exponent=(1,)),
    *refused("KoboldCpp", _DRAW, remedy="Use repetition_penalty.", rep_pen=(1,), rep_pen_range=NEVER),
    *refused("Cohere", _DRAW, remedy="Use top_k and top_p.", k=(0,), p=(1,)),
    *refused("TGI", _DRAW, remedy="Use temperature: 0.", do_sample=ON),
    *refused("TGI, SGLang", _LENGTH, remedy="Use max_tokens.", max_new_tokens=NEVER),
    *refused("OpenRouter", _DRAW, top_a=ZERO),
    *refused("Mistral", "it is another name for the seed", remedy="Use seed.", random_seed=NEVER),
    *refused("text-generation-webui", _DRAW, typical=(1,), tfs=(1,), tfs_z=(1,), epsilon_cutoff=ZERO, eta_cutoff=ZERO),
    *refused("text-generation-webui", _DRAW, smoothing_factor=ZERO, nsigma=(0, -1), skew=ZERO, penalty_alpha=ZERO),
    *refused("text-generation-webui", _DRAW, guidance_scale=(1,), negative_prompt=("",), dynamic_temperature=OFF),
    *refused("text-generation-webui", _DRAW, encoder_repetition_penalty=(1,), no_repeat_ngram_size=(0,)),
    *refused(
        "text-generation-webui", _DRAW, repetition_penalty_range=(0, -1), temperature_last=OFF, mirostat_mode=(0,)
    ),
    *refused("text-generation-webui", _DRAW, sampler_priority=([],), sampler_order=([],), min_length=(0,)),
    *refused("text-generation-webui", _DRAW, remedy="Use ignore_eos.", ban_eos_token=OFF),
)

_LENGTHS = (
    *refused("llama-server, Ollama", _LENGTH, remedy="Use max_tokens.", n_predict=NEVER, num_predict=NEVER),
    *refused("OpenAI Responses", _LENGTH, remedy="Use max_completion_tokens.", max_output_tokens=NEVER),
    *refused("Anthropic", _LENGTH, remedy="Use max_tokens.", max_tokens_to_sample=NEVER),
    *refused("LMDeploy, TGI", "it is another name for min_tokens", remedy="Use min_tokens.", min_new_tokens=(0,)),
    *refused("llama-server", "the answer would end by the clock", t_max_predict_ms=(-1, 0), t_max_prompt_ms=(-1, 0)),
    *refused("llama-server", "it is another name for n", remedy="Use n.", n_cmpl=(1,)),
    *refused("Anthropic", "it is another name for stop", remedy="Use stop.", stop_sequences=([],)),
    *refused("SGLang", "answers end at strings and tokens alone", remedy="Use stop.", stop_regex=("", [])),
    *refused("SGLang", "it has another name", remedy="Use include_stop_str_in_output.", no_stop_trim=OFF),
)

_PROMPTS = (
    *refused("vLLM", PROMPT, CHAT, chat_template=NEVER, echo=OFF, add_special_tokens=OFF),
    *refused("vLLM", PROMPT, TEXT, add_special_tokens=ON, prompt_embeds=NEVER),
    *refused("vLLM", PROMPT, truncate_prompt_tokens=NEVER, truncation_side=NEVER),
    *refused("SGLang", PROMPT, input_ids=NEVER, session_params=({},), task=NEVER),
    *refused("llama-server", PROMPT, generation_prompt=("",), thinking_forced_open=OFF, input_extra=([],)),
    *refused("llama-server", PROMPT, input_prefix=("",), input_suffix=("",)),
    *refused("Ollama", PROMPT, template=("",), raw=OFF, context=([],), options=({},), images=([],)),
    *refused("Anthropic", PROMPT, remedy="Send a message with the role system.", system=("", [])),
    *refused("Anthropic", PROMPT, container=NEVER, context_management=NEVER),
    *refused("OpenAI Responses", PROMPT, remedy="Send messages.", input=("", [])),
    *refused("OpenAI Responses", PROMPT, remedy="Send a message with the role system.", instructions=("",)),
    *refused("OpenAI Responses", PROMPT, previous_response_id=NEVER, conversation=NEVER, truncation=("disabled",)),
    *refused("OpenAI Responses", "it belongs to /v1/responses", text=({},), include=([],), background=OFF),
    *refused("Gemini", PROMPT, remedy="Send messages.", contents=([],), system_instruction=NEVER),
    *refused("Gemini", _DRAW, generation_config=({},), generationConfig=({},), systemInstruction=NEVER),
    *refused("OpenRouter, Fireworks", PROMPT, transforms=([],), prompt_truncate_len=NEVER),
    *refused("Fireworks", PROMPT, context_length_exceeded_behavior=("error",)),
    *refused("TGI", PROMPT, inputs=("",), parameters=({},), truncate=NEVER, tool_prompt=NEVER, guideline=NEVER),
    *refused("llama-server", PROMPT, image_data=([],), multimodal_data=([],), system_prompt=NEVER),
    *refused("Cohere, MLX-LM", PROMPT, chat_history=([],), preamble=("",), role_mapping=NEVER, connectors=([],)),
    *refused("LMDeploy, Azure", PROMPT, do_preprocess=ON, data_sources=([],), adapter_name=EMPTY),
    *refused("Mistral", PROMPT, safe_prompt=OFF, prompt_mode=NEVER),
    *refused("text-generation-webui", PROMPT, instruction_template=NEVER, instruction_template_str=NEVER),
    *refused("text-generation-webui", PROMPT, character=NEVER, mode=("instruct",), truncation_length=NEVER),
    *refused("text-generation-webui", PROMPT, add_bos_token=ON),
    *refused("vLLM, SGLang", "adapters are not served", lora_path=EMPTY, lora_request=EMPTY, lora=EMPTY),
    *refused("TGI", "adapters are not served", adapter_id=EMPTY, adapters=EMPTY),
    *refused("vLLM", "the prompt would come from elsewhere", kv_transfer_params=({},), ec_transfer_params=({},)),
)

_THINKING = (
    *refused("Ollama", "it has another name", remedy="Use enable_thinking.", think=NEVER),
    *refused("SGLang", "it has another name", remedy="Use reasoning_format.", separate_reasoning=ON),
    *refused("SGLang", THINK, stream_reasoning=ON),
    *refused(
        "llama-server",
        "it has another name",
        remedy="Use reasoning_max_tokens.",
        reasoning_budget_tokens=(-1,),
        reasoning_budget=(-1,),
    ),
    *refused("llama-server", THINK, reasoning_control=OFF),
    *refused("llama-server", THINK, reasoning_budget_message=("",), reasoning_budget_start_tag=("",)),
    *refused("llama-server", THINK, reasoning_budget_end_tag=("",), reasoning_budget_end_tags=([],)),
    *refused("llama-server", THINK, reasoning_budget_arm_immediately=OFF),
    *refused("llama-server", THINK, remedy="Use reasoning_format.", reasoning_in_content=OFF),
)

_EXTRAS = (
    *refused(
        "OpenAI's Python client",
        "it is an argument of a client, which spreads its members over the request",
        remedy="Send its members in the request itself.",
        extra_body=({},),
        extra_query=({},),
        extra_headers=({},),
    ),
    *refused("Cerebras", _MORE, return_raw_tokens=OFF, model_parameters=({},)),
    *refused("vLLM", _MORE, return_token_ids=OFF, return_tokens_as_token_ids=OFF, return_prompt_text=OFF),
    *refused("vLLM", _MORE, prompt_logprobs=NEVER, logprob_token_ids=NEVER),
    *refused("SGLang", _MORE, return_hidden_states=OFF, return_routed_experts=OFF, return_meta_info=OFF),
    *refused(
        "SGLang", _MORE, remedy="Use logprobs.", return_logprob=OFF, top_logprobs_num=(0,), logprob_start_len=(-1,)
    ),
    *refused("SGLang", _MORE, return_prompt_token_ids=OFF, return_cached_tokens_details=OFF),
    *refused("llama-server", _MORE, remedy="Use logprobs.", n_probs=(0,), post_sampling_probs=OFF),
    *refused("llama-server", _MORE, timings_per_token=OFF, return_tokens=OFF, return_progress=OFF, verbose=OFF),
    *refused("llama-server", _MORE, response_fields=([],), chat_format=NEVER, chat_parser=("",), parse_tool_calls=OFF),
    *refused("TGI", _MORE, details=OFF, decoder_input_details=OFF, top_n_tokens=(0,), return_full_text=OFF),
    *refused("TGI", _DRAW, watermark=OFF),
    *refused("Fireworks", _MORE, raw_output=OFF, perf_metrics_in_response=OFF, echo_last=(0,)),
    *refused("Ollama", _MORE, _debug_render_only=OFF),
    *refused("OpenAI", "answers are text", audio=NEVER),
    *refused("OpenAI", "answers are not judged", moderation=NEVER),
    *refused("Together, OpenRouter", "answers are not judged", safety_model=("",), guardrails=([],)),
    *refused("OpenAI", TOOLS, web_search_options=NEVER),
    *refused("Groq", TOOLS, search_settings=NEVER, compound_custom=NEVER, include_domains=([],), exclude_domains=([],)),
    *refused("Groq, Mistral", TOOLS, citation_options=NEVER),
    *refused("Perplexity", TOOLS, search_domain_filter=([],), search_recency_filter=NEVER, search_mode=NEVER),
    *refused("Perplexity", _MORE, return_images=OFF, return_related_questions=OFF),
    *refused("xAI", TOOLS, search_parameters=NEVER, deferred=OFF),
    *refused("DashScope", TOOLS, enable_search=OFF, search_options=NEVER, enable_code_interpreter=OFF),
    *refused("DashScope", _MORE, translation_options=NEVER, result_format=("message",)),
    *refused("Anthropic", TOOLS, mcp_servers=([],), betas=([],)),
    *refused("OpenRouter", TOOLS, plugins=([],)),
)

REFUSED = (
    *_CONSTRAINED,
    *_SAMPLERS,
    *_LENGTHS,
    *_PROMPTS,
    *_THINKING,
    *_EXTRAS,
)
