"""What families with latent attention share: how their folders call its tensors, and the sizes in config.json.

A folder has one matrix that expands a latent to keys and values of all heads. The graph wants it in two, by head: the
first leads queries to latents, so it is turned; the second leads latents to values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from undiced.core.errors import UnsupportedError
from undiced.core.manifest import Transform
from undiced.model.config import MAX_DIM, MAX_LAYERS, MlaConfig, ModelConfig, MoeConfig, RopeConfig
from undiced.model.families import llama
from undiced.model.families.fields import Fields
from undiced.model.families.naming import TRANSPOSE, Name, Naming
from undiced.model.families.readers import hf_activation
from undiced.model.families.rope_fields import rope_from_hf, stated_rope, yarn_magnitude


def _sizes(config: ModelConfig) -> MlaConfig:
    """The configuration's latent attention."""
    assert config.mla is not None, "the family has latent attention"
    return config.mla


def latent_rows(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
    """Of the rows that make a latent and a key beside it, those of the latent."""
    return (Transform("split", 0, _sizes(config).kv_rank),)


def key_rows(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
    """Of the same rows, the key's."""
    return (Transform("split", _sizes(config).kv_rank, _sizes(config).rope_dim),)


def both_rows(config: ModelConfig) -> int:
    """How many they are."""
    return _sizes(config).kv_rank + _sizes(config).rope_dim


def key_part(config: ModelConfig, head: int) -> tuple[Transform, ...]:
    """A head's rows of the expansion that make its key, turned: as queries pass through them."""
    mla = _sizes(config)
    return (Transform("split", head * (mla.nope_dim + mla.v_dim), mla.nope_dim), TRANSPOSE)


def value_part(config: ModelConfig, head: int) -> tuple[Transform, ...]:
    """A head's rows of the expansion that make its value."""
    mla = _sizes(config)
    return (Transform("split", head * (mla.nope_dim + mla.v_dim) + mla.nope_dim, mla.v_dim),)


def expansion_shape(config: ModelConfig) -> tuple[int, ...]:
    """Rows and columns of the expansion."""
    mla = _sizes(config)
    return config.heads * (mla.nope_dim + mla.v_dim), mla.kv_rank


_KV_B = "{p}layers.{i}.self_attn.kv_b_proj.weight"
_KV_A = "{p}layers.{i}.self_attn.kv_a_proj_with_mqa"
HF_NAMES: Naming = {
    **llama.HF_NAMES,
    "attn.q_a": "{p}layers.{i}.self_attn.q_a_proj.weight",
    "attn.q_a.bias": "{p}layers.{i}.self_attn.q_a_proj.bias",
    "attn.q_a_norm": "{p}layers.{i}.self_attn.q_a_layernorm.weight",
    "attn.q_b": "{p}layers.{i}.self_attn.q_b_proj.weight",
    "attn.kv_a": Name(f"{_KV_A}.weight", latent_rows, lambda c: (both_rows(c), c.dim)),
    "attn.kv_a.bias": Name(f"{_KV_A}.bias", latent_rows, lambda c: (both_rows(c),)),
    "attn.kv_a_norm": "{p}layers.{i}.self_attn.kv_a_layernorm.weight",
    "attn.k_rope": Name(f"{_KV_A}.weight", key_rows, lambda c: (both_rows(c), c.dim)),
    "attn.k_rope.bias": Name(f"{_KV_A}.bias", key_rows, lambda c: (both_rows(c),)),
    "attn.k_b": Name(_KV_B, key_part, expansion_shape, parts=lambda c: c.heads, dequantized=True),
    "attn.v_b": Name(_KV_B, value_part, expansion_shape, parts=lambda c: c.heads),
    "moe.router": "{p}layers.{i}.mlp.gate.weight",
    "moe.selection_bias": "{p}layers.{i}.mlp.gate.e_score_correction_bias",
    "moe.gate": "{p}layers.{i}.mlp.experts.{e}.gate_proj.weight",
    "moe.up": "{p}layers.{i}.mlp.experts.{e}.up_proj.weight",
    "moe.down": "{p}layers.{i}.mlp.experts.{e}.down_proj.weight",
    "moe.shared.gate": "{p}layers.{i}.mlp.shared_experts.gate_proj.weight",
    "moe.shared.up": "{p}layers.{i}.mlp.shared_experts.up_proj.weight",
    "moe.shared.down": "{p}layers.{i}.mlp.shared_experts.down_proj.weight",
}


def latent_config(
    family: str, fields: Fields, context: int, experts: Callable[[Fields, int], MoeConfig]
) -> ModelConfig:
    """A family's configuration.

    Args:
        context: positions where the file states none.
        experts: reads the mixture, given the number of layers.
    """
    layers = fields.integer("num_hidden_layers", high=MAX_LAYERS)
    heads = fields.integer("num_attention_heads", high=MAX_DIM)
    mla = _read_latent(fields)
    head_dim = mla.nope_dim + mla.rope_dim
    context = fields.integer("max_position_embeddings", context)
    rope = rope_from_hf(fields, mla.rope_dim, context)
    bias = fields.flag("attention_bias", False)
    return ModelConfig(
        family=family,
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
        moe=experts(fields, layers),
        mla=mla,
    )


def refuse_others(fields: Fields, family: str, known: Mapping[str, Collection[str]]) -> None:
    """Refuses ways of scoring or choosing experts that the family does not have; what is not stated is the first."""
    for key, values in known.items():
        if (found := fields.text(key, next(iter(values)))) not in values:
            raise UnsupportedError(
                f"{fields.origin}: {key} {found[:40]!r} is not supported.",
                remedy=f"Known in {family}: {', '.join(values)}.",
            )


def _read_latent(fields: Fields) -> MlaConfig:
    """The sizes of latent attention; queries have a latent unless the file says null."""
    q_rank = 0 if fields.stated("q_lora_rank") and "q_lora_rank" not in fields else 1536
    return MlaConfig(
        q_rank=fields.integer("q_lora_rank", q_rank, low=0, high=MAX_DIM),
        kv_rank=fields.integer("kv_lora_rank", 512, high=MAX_DIM),
        nope_dim=fields.integer("qk_nope_head_dim", 128, high=MAX_DIM),
        rope_dim=fields.integer("qk_rope_head_dim", 64, high=MAX_DIM),
        v_dim=fields.integer("v_head_dim", 128, high=MAX_DIM),
    )


def _attention_growth(fields: Fields, rope: RopeConfig) -> float:
    """DeepSeek scales scores, not cosines, by YaRN's growth weighted by `mscale_all_dim`."""
    inner = stated_rope(fields)
    if inner is None or rope.scaling == "none":
        return 1.0
    weight = inner.number("mscale_all_dim", 0.0)
    return yarn_magnitude(rope.factor, weight) if weight else 1.0
