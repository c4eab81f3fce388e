"""The tiny cases as GGUF: keys and tensors as the format's converters write them, built from the same random weights.

Shared by the golden tests (in memory) and the comparison with the gguf package (as files). numpy only.
"""

import numpy as np

LLAMA_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
GEMMA_NAMES = {
    **LLAMA_NAMES,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
OSS_NAMES = {
    **LLAMA_NAMES,
    "self_attn": "attn_sinks",
    "mlp.router": "ffn_gate_inp",
    "post_attention_layernorm": "post_attention_norm",
}
PHI_NAMES = {**LLAMA_NAMES, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
OLMO_NAMES = {k: v for k, v in GEMMA_NAMES.items() if k not in ("input_layernorm", "pre_feedforward_layernorm")}
MOE_NAMES = {**LLAMA_NAMES, "block_sparse_moe.gate": "ffn_gate_inp", "mlp.gate": "ffn_gate_inp"}
EXPERT_NAMES = {"w1": "gate", "w3": "up", "w2": "down", "gate_proj": "gate", "up_proj": "up", "down_proj": "down"}
LATENT_NAMES = {
    **LLAMA_NAMES,
    "self_attn.q_a_proj": "attn_q_a",
    "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.kv_b_proj": "attn_kv_b",
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
}
LLAMA4_NAMES = {
    **LLAMA_NAMES,
    "feed_forward.gate_proj": "ffn_gate",
    "feed_forward.up_proj": "ffn_up",
    "feed_forward.down_proj": "ffn_down",
    "feed_forward.router": "ffn_gate_inp",
    "feed_forward.shared_expert.gate_proj": "ffn_gate_shexp",
    "feed_forward.shared_expert.up_proj": "ffn_up_shexp",
    "feed_forward.shared_expert.down_proj": "ffn_down_shexp",
}
ARCHITECTURES = {
    "deepseek_v2": "deepseek2",
    "deepseek_v3": "deepseek2",
    "mixtral": "llama",
    "qwen3_moe": "qwen3moe",
    "gpt_oss": "gpt-oss",
    "gpt_neox": "gptneox",
    "olmo3": "olmo2",
}
NEOX_NAMES = {
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
GPT2_NAMES = {
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
}
TOP_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "gpt_neox.embed_in": "token_embd",
    "gpt_neox.final_layer_norm": "output_norm",
    "embed_out": "output",
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
}
CONVERTED = {
    "llama": LLAMA_NAMES,
    "llama-bias-linear-tied": LLAMA_NAMES,
    "qwen2": LLAMA_NAMES,
    "qwen3": LLAMA_NAMES,
    "gemma2": GEMMA_NAMES,
    "gemma3": GEMMA_NAMES,
    "gpt2": GPT2_NAMES,
    "mixtral": MOE_NAMES,
    "qwen3-moe": MOE_NAMES,
    "gpt-oss": OSS_NAMES,
    "gpt-neox": NEOX_NAMES,
    "gpt-neox-serial": NEOX_NAMES,
    "granite": LLAMA_NAMES,
    "olmo2": OLMO_NAMES,
    "olmo3": OLMO_NAMES,
    "phi3": PHI_NAMES,
    "phi3-long": PHI_NAMES,
    "phi3-short": PHI_NAMES,
    "deepseek-v2": LATENT_NAMES,
    "deepseek-v2-lite": LATENT_NAMES,
    "deepseek-v3-wide": LATENT_NAMES,
    "llama4": LLAMA4_NAMES,
    "llama4-wide": LLAMA4_NAMES,
}

# Converters do not write windows of Qwen2, nor chunks of Llama 4 and how its queries grow: tokens that show neither.
UNWRITTEN = {"qwen2": 8, "llama4": 3, "llama4-wide": 3}


def gguf_of(name, case, weights, fused=False):
    """-> (metadata, tensors): what a converter would write for the case's weights (float32, by their HF names).

    `fused`: the expansion of latents in one matrix, as converters wrote it before the format knew latent caches.
    """
    config, family = case["config"], case["family"]
    architecture = ARCHITECTURES.get(family, family)
    tensors = stacked_experts(config, weights)
    for hf_name, value in weights.items():
        if hf_name.endswith("kv_b_proj.weight") and not fused:
            tensors |= split_expansion(config, hf_name.split(".")[2], value)
        elif hf_name.endswith("e_score_correction_bias"):
            tensors[f"blk.{hf_name.split('.')[2]}.exp_probs_b.bias"] = value
        elif ".experts." not in hf_name:
            tensors[_renamed(hf_name, CONVERTED[name])] = _converted(architecture, config, hf_name, value)
    if name == "llama":
        tensors["rope_freqs.weight"] = llama3_divisors(config)
    if family == "phi3":
        tensors |= longrope_factors(config)
    own = {"gpt2": gpt2_keys, "gpt_neox": neox_keys, "llama4": llama4_keys}
    keys = own.get(family, common_keys)(config)
    if architecture == "deepseek2":
        keys |= latent_keys(config, fused)
    metadata = {"general.architecture": architecture, "general.name": name}
    return metadata | {f"{architecture}.{key}": value for key, value in keys.items() if value is not None}, tensors


def stacked_experts(config, weights):
    """Experts as converters store them: one (experts, outputs, inputs) tensor for each of gate, up and down."""
    found = {}
    for name, value in weights.items():
        if ".experts." not in name:
            continue
        layer, part = name.split(".")[2], name.split(".experts.")[1]
        if "gate_up_proj" in part:
            value = value if part.endswith("bias") else value.swapaxes(1, 2)
            suffix = "bias" if part.endswith("bias") else "weight"
            half = value.shape[1] // 2
            halves = (value[:, :half], value[:, half:]) if "feed_forward" in name else (value[:, ::2], value[:, 1::2])
            for role, part_of in zip(("gate", "up"), halves, strict=True):
                found[f"blk.{layer}.ffn_{role}_exps.{suffix}"] = np.ascontiguousarray(part_of)
        elif part == "down_proj":
            found[f"blk.{layer}.ffn_down_exps.weight"] = np.ascontiguousarray(value.swapaxes(1, 2))
        elif part == "down_proj_bias":
            found[f"blk.{layer}.ffn_down_exps.bias"] = value
        else:
            expert, role, _ = part.split(".")
            stack = found.setdefault(f"blk.{layer}.ffn_{EXPERT_NAMES[role]}_exps.weight", {})
            stack[int(expert)] = value
    return {
        name: np.stack([value[e] for e in range(len(value))]) if isinstance(value, dict) else value
        for name, value in found.items()
    }


def common_keys(config):
    """Keys of the llama-like architectures; None where a converter writes nothing."""
    head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    scaling = config.get("rope_scaling") or {}
    original = config.get("original_max_position_embeddings")
    kind = scaling.get("type", scaling.get("rope_type"))
    linear, yarn = kind == "linear", kind == "yarn"
    windowed = (
        config["model_type"] in ("gemma2", "gemma3_text", "gpt_oss", "olmo3", "phi3") and config["sliding_window"]
    )
    experts = config.get("num_local_experts", config.get("num_experts"))
    return {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "attention.sliding_window": config["sliding_window"] if windowed else None,
        "rope.freq_base": config["rope_theta"],
        "rope.dimension_count": int(head_dim * config.get("partial_rotary_factor", 1.0)),
        "rope.scaling.type": kind if linear or yarn else None,
        "rope.scaling.factor": scaling["factor"] if linear or yarn else None,
        "rope.scaling.original_context_length": scaling["original_max_position_embeddings"] if yarn else original,
        "rope.scaling.attn_factor": longrope_growth(config) if kind == "longrope" else None,
        "expert_count": experts,
        "expert_used_count": config["num_experts_per_tok"] if experts else None,
        "expert_feed_forward_length": config.get("moe_intermediate_size"),
        "attention.scale": config.get("attention_multiplier"),
        "embedding_scale": config.get("embedding_multiplier"),
        "residual_scale": config.get("residual_multiplier"),
        "logit_scale": config.get("logits_scaling"),
        "attn_logit_softcapping": config.get("attn_logit_softcapping"),
        "final_logit_softcapping": config.get("final_logit_softcapping"),
    }


def split_expansion(config, layer, value):
    """A latent's expansion by head: to keys, turned, and to values."""
    heads, nope = config["num_attention_heads"], config["qk_nope_head_dim"]
    parts = value.reshape(heads, -1, value.shape[1])
    return {
        f"blk.{layer}.attn_k_b.weight": np.ascontiguousarray(parts[:, :nope].swapaxes(1, 2)),
        f"blk.{layer}.attn_v_b.weight": np.ascontiguousarray(parts[:, nope:]),
    }


def latent_keys(config, fused):
    """What deepseek2 has besides or instead of common keys."""
    rank, nope, rope, v_dim = (
        config[key] for key in ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
    )
    scaling = config.get("rope_scaling") or {}
    sigmoid = config["scoring_func"] == "sigmoid"
    lengths = {"key": nope + rope, "value": v_dim}
    own = {f"attention.{what}_length{'' if fused else '_mla'}": length for what, length in lengths.items()}
    if not fused:
        own |= {"attention.head_count_kv": 1, "attention.key_length": rank + rope, "attention.value_length": rank}
    return own | {
        "attention.kv_lora_rank": rank,
        "attention.q_lora_rank": config["q_lora_rank"],
        "rope.dimension_count": rope,
        "rope.scaling.yarn_log_multiplier": 0.1 * scaling["mscale_all_dim"] if scaling else None,
        "leading_dense_block_count": config["first_k_dense_replace"],
        "expert_count": config["n_routed_experts"],
        "expert_used_count": config["num_experts_per_tok"],
        "expert_shared_count": config["n_shared_experts"],
        "expert_feed_forward_length": config["moe_intermediate_size"],
        "expert_weights_scale": config["routed_scaling_factor"],
        "expert_weights_norm": True if config["norm_topk_prob"] else None,
        "expert_gating_func": 2 if sigmoid else None,
        "expert_group_count": config.get("n_group"),
        "expert_group_used_count": config.get("topk_group"),
    }


def llama4_keys(config):
    """Llama 4's keys: converters write neither its chunks nor how its queries grow."""
    common = common_keys(config | {"intermediate_size": config["intermediate_size_mlp"]})
    own = {"interleave_moe_layer_step": config["interleave_moe_layer_step"]}
    return common | own | {"expert_feed_forward_length": config["intermediate_size"]}


def gpt2_keys(config):
    """GPT-2's keys."""
    return {
        "block_count": config["n_layer"],
        "context_length": config["n_positions"],
        "embedding_length": config["n_embd"],
        "feed_forward_length": 4 * config["n_embd"],
        "attention.head_count": config["n_head"],
        "attention.layer_norm_epsilon": config["layer_norm_epsilon"],
    }


def neox_keys(config):
    """GPT-NeoX's keys."""
    return {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.layer_norm_epsilon": config["layer_norm_eps"],
        "rope.dimension_count": int(config["rotary_pct"] * config["hidden_size"] / config["num_attention_heads"]),
        "use_parallel_residual": config["use_parallel_residual"],
    }


def longrope_factors(config):
    """What converters write of Phi's factors."""
    scaling = config["rope_scaling"] or {}
    kinds = [kind for kind in ("short", "long") if f"{kind}_factor" in scaling]
    return {f"rope_factors_{kind}.weight": np.array(scaling[f"{kind}_factor"], np.float32) for kind in kinds}


def longrope_growth(config):
    """The factor on cosines and sines, which the format states."""
    original = config["original_max_position_embeddings"]
    stretch = config["max_position_embeddings"] / original
    grown = np.sqrt(1 + np.log(stretch) / np.log(original)) if stretch > 1 else 1.0
    return config["rope_scaling"].get("attention_factor", float(grown))


def llama3_divisors(config):
    """What converters write into rope_freqs.weight: how much each frequency is slowed down."""
    scaling = config["rope_scaling"]
    dims = config["hidden_size"] // config["num_attention_heads"]
    low, high, factor = (scaling[key] for key in ("low_freq_factor", "high_freq_factor", "factor"))
    divisors = []
    for j in range(0, dims, 2):
        turns = scaling["original_max_position_embeddings"] * config["rope_theta"] ** (-j / dims) / (2 * np.pi)
        if turns > high:
            divisors.append(1.0)
        elif turns < low:
            divisors.append(factor)
        else:
            smooth = (turns - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, np.float32)


def _renamed(hf_name, names):
    stem, suffix = hf_name.rsplit(".", 1)
    if stem in TOP_NAMES:
        return f"{TOP_NAMES[stem]}.{suffix}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{names[part]}.{'weight' if suffix == 'sinks' else suffix}"


def _converted(family, config, hf_name, value):
    if family == "gpt2":
        return np.ascontiguousarray(value.T) if value.ndim == 2 and ".h." in hf_name else value
    if ".query_key_value." in hf_name:
        heads = value.reshape(config["num_attention_heads"], 3, -1, *value.shape[1:])
        return np.ascontiguousarray(heads.swapaxes(0, 1)).reshape(value.shape)
    if family in ("gemma2", "gemma3") and "norm" in hf_name:
        return value + np.float32(1)
    if family in ("granite", "llama") and (".q_proj." in hf_name or ".k_proj." in hf_name):
        heads = config["num_attention_heads" if ".q_proj." in hf_name else "num_key_value_heads"]
        halves = value.reshape(heads, 2, -1, *value.shape[1:])
        return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(value.shape)
    return value
