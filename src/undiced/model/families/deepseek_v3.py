"""DeepSeek V3 and R1: latent attention, and experts chosen by biased sigmoid scores within the best groups.

Queries and the shared key rotate interleaved pairs of their last columns. Extra prediction layers after the last are
left out. Sources: DeepseekV3Config of Hugging Face; the DeepSeek-V3 technical report (arXiv 2412.19437).
"""

from __future__ import annotations

from dataclasses import replace

from undiced.core.errors import UnsupportedError
from undiced.core.manifest import Transform
from undiced.model.config import MAX_DIM, MAX_EXPERTS, MAX_LAYERS, MlaConfig, ModelConfig, MoeConfig, RopeConfig
from undiced.model.families import llama
from undiced.model.families.family import IGNORED, Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Name, Naming
from undiced.model.families.readers import hf_activation
from undiced.model.families.rope_fields import rope_from_hf, stated_rope, yarn_magnitude


def _latent_rows(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
    assert config.mla is not None, "the family has latent attention"
    return (Transform("split", 0, config.mla.kv_rank),)


def _key_rows(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
    assert config.mla is not None, "the family has latent attention"
    return (Transform("split", config.mla.kv_rank, config.mla.rope_dim),)


def _both_rows(config: ModelConfig) -> int:
    assert config.mla is not None, "the family has latent attention"
    return config.mla.kv_rank + config.mla.rope_dim


_KV_A = "{p}layers.{i}.self_attn.kv_a_proj_with_mqa"
HF_NAMES: Naming = {
    **llama.HF_NAMES,
    "attn.q_a": "{p}layers.{i}.self_attn.q_a_proj.weight",
    "attn.q_a.bias": "{p}layers.{i}.self_attn.q_a_proj.bias",
    "attn.q_a_norm": "{p}layers.{i}.self_attn.q_a_layernorm.weight",
    "attn.q_b": "{p}layers.{i}.self_attn.q_b_proj.weight",
    "attn.kv_a": Name(f"{_KV_A}.weight", _latent_rows, lambda c: (_both_rows(c), c.dim)),
    "attn.kv_a.bias": Name(f"{_KV_A}.bias", _latent_rows, lambda c: (_both_rows(c),)),
    "attn.kv_a_norm": "{p}layers.{i}.self_attn.kv_a_layernorm.weight",
    "attn.k_rope": Name(f"{_KV_A}.weight", _key_rows, lambda c: (_both_rows(c), c.dim)),
    "attn.k_rope.bias": Name(f"{_KV_A}.bias", _key_rows, lambda c: (_both_rows(c),)),
    "attn.kv_b": "{p}layers.{i}.self_attn.kv_b_proj.weight",
    "moe.router": "{p}layers.{i}.mlp.gate.weight",
    "moe.selection_bias": "{p}layers.{i}.mlp.gate.e_score_correction_bias",
    "moe.gate": "{p}layers.{i}.mlp.experts.{e}.gate_proj.weight",
    "moe.up": "{p}layers.{i}.mlp.experts.{e}.up_proj.weight",
    "moe.down": "{p}layers.{i}.mlp.experts.{e}.down_proj.weight",
    "moe.shared.gate": "{p}layers.{i}.mlp.shared_experts.gate_proj.weight",
    "moe.shared.up": "{p}layers.{i}.mlp.shared_experts.up_proj.weight",
    "moe.shared.down": "{p}layers.{i}.mlp.shared_experts.down_proj.weight",
}


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a DeepseekV3Config; other ways of scoring or choosing experts are refused."""
    for key, expected in (("scoring_func", "sigmoid"), ("topk_method", "noaux_tc")):
        if fields.text(key, expected) != expected:
            raise UnsupportedError(
                f"{fields.origin}: {key} {fields.text(key)[:40]!r} is not supported.",
                remedy=f"Known: {expected}, as in DeepSeek V3 and R1.",
            )
    layers = fields.integer("num_hidden_layers", high=MAX_LAYERS)
    heads = fields.integer("num_attention_heads", high=MAX_DIM)
    mla = _latent(fields)
    head_dim = mla.nope_dim + mla.rope_dim
    context = fields.integer("max_position_embeddings", 4096)
    rope = rope_from_hf(fields, mla.rope_dim, context)
    bias = fields.flag("attention_bias", False)
    return ModelConfig(
        family="deepseek_v3",
        name=fields.origin,
        layers=layers,
        dim=fields.integer("hidden_size", high=MAX_DIM),
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        ffn=fields.integer("intermediate_size", high=MAX_DIM),
        vocab=fields.integer("vocab_size"),
        context=context,
        norm_eps=fields.number("rms_norm_eps", 1e-6, high=1.0),
        rope=replace(rope, style="interleaved" if fields.flag("rope_interleave", True) else "half"),
        activation=hf_activation(fields, "hidden_act", "silu"),
        tied=fields.flag("tie_word_embeddings", False),
        qkv_bias=bias,
        out_bias=bias,
        query_scale=head_dim**-0.5 * _attention_growth(fields, rope) ** 2,
        moe=_experts(fields, layers),
        mla=mla,
    )


def _latent(fields: Fields) -> MlaConfig:
    return MlaConfig(
        q_rank=fields.integer("q_lora_rank", 0, low=0, high=MAX_DIM),
        kv_rank=fields.integer("kv_lora_rank", high=MAX_DIM),
        nope_dim=fields.integer("qk_nope_head_dim", high=MAX_DIM),
        rope_dim=fields.integer("qk_rope_head_dim", high=MAX_DIM),
        v_dim=fields.integer("v_head_dim", high=MAX_DIM),
    )


def _attention_growth(fields: Fields, rope: RopeConfig) -> float:
    """DeepSeek scales scores, not cosines, by YaRN's growth weighted by `mscale_all_dim`."""
    inner = stated_rope(fields)
    if inner is None or rope.scaling == "none":
        return 1.0
    weight = inner.number("mscale_all_dim", 0.0)
    return yarn_magnitude(rope.factor, weight) if weight else 1.0


def _experts(fields: Fields, layers: int) -> MoeConfig:
    experts = fields.integer("n_routed_experts", high=MAX_EXPERTS)
    ffn = fields.integer("moe_intermediate_size", high=MAX_DIM)
    first = fields.integer("first_k_dense_replace", 3, low=0)
    step = fields.integer("moe_layer_freq", 1)
    return MoeConfig(
        experts=experts,
        top_k=fields.integer("num_experts_per_tok", 8, high=experts),
        ffn=ffn,
        layers=tuple(layer for layer in range(layers) if layer >= first and layer % step == 0),
        scoring="sigmoid",
        normalize=fields.flag("norm_topk_prob", True),
        scaling=fields.number("routed_scaling_factor", 2.5),
        groups=fields.integer("n_group", 8, high=experts),
        top_groups=fields.integer("topk_group", 4, high=experts),
        shared_ffn=ffn * fields.integer("n_shared_experts", 1, low=0, high=MAX_EXPERTS),
        selection_bias=True,
    )


FAMILY = Family(
    name="deepseek_v3",
    hf=("deepseek_v3", "DeepseekV3ForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    ignored=(*IGNORED, "model.layers.{layers}.*"),
)
