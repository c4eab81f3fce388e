"""GGUF's architecture "deepseek2": DeepSeek V2 and V3, Kimi K2 and others of their shape, told apart by their keys.

Converters have written the expansion of latents in two ways: as one matrix (`attn_kv_b`), and since the format knows
latent caches in two (`attn_k_b`, which is turned, and `attn_v_b`). The one that is quantized can't be turned as it is:
its part for keys is kept as the floats that its codes stand for. Sources: llama.cpp's converter and its reader.
"""

from __future__ import annotations

import math
from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.model.config import MAX_DIM, MAX_EXPERTS, MAX_LAYERS, MlaConfig, ModelConfig, MoeConfig, RopeConfig
from undiced.model.families import llama
from undiced.model.families.fields import Fields
from undiced.model.families.latent import both_rows, expansion_shape, key_part, key_rows, latent_rows, value_part
from undiced.model.families.naming import Name, Naming
from undiced.model.families.readers import gguf_vocab, refuse_softcap, refuse_unread
from undiced.model.families.rope_fields import rope_from_gguf

ARCHITECTURE = "deepseek2"
_KV_A, _KV_B = "blk.{i}.attn_kv_a_mqa.weight", "blk.{i}.attn_kv_b.weight"
_FUSED_KEYS = Name(_KV_B, key_part, expansion_shape, parts=lambda c: c.heads, dequantized=True)
_FUSED_VALUES = Name(_KV_B, value_part, expansion_shape, parts=lambda c: c.heads)
GGUF_NAMES: Naming = {
    **llama.GGUF_NAMES,
    "attn.q_a": "blk.{i}.attn_q_a.weight",
    "attn.q_a_norm": "blk.{i}.attn_q_a_norm.weight",
    "attn.q_b": "blk.{i}.attn_q_b.weight",
    "attn.kv_a": Name(_KV_A, latent_rows, lambda c: (both_rows(c), c.dim)),
    "attn.kv_a_norm": "blk.{i}.attn_kv_a_norm.weight",
    "attn.k_rope": Name(_KV_A, key_rows, lambda c: (both_rows(c), c.dim)),
    "attn.k_b": Name("blk.{i}.attn_k_b.weight", otherwise=_FUSED_KEYS),
    "attn.v_b": Name("blk.{i}.attn_v_b.weight", otherwise=_FUSED_VALUES),
    "moe.selection_bias": "blk.{i}.exp_probs_b.bias",
    "moe.shared.gate": "blk.{i}.ffn_gate_shexp.weight",
    "moe.shared.up": "blk.{i}.ffn_up_shexp.weight",
    "moe.shared.down": "blk.{i}.ffn_down_shexp.weight",
}
_OWN = (
    "expert_gating_func", "expert_weights_norm", "expert_shared_count", "expert_group_count", "attention.scale",
)  # fmt: skip
_SCORINGS = {1: "softmax", 2: "sigmoid"}  # expert_gating_func


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `deepseek2.*` keys."""
    layers = fields.integer("block_count", high=MAX_LAYERS)
    heads = fields.integer("attention.head_count", high=MAX_DIM)
    mla = _latent(fields)
    head_dim = mla.nope_dim + mla.rope_dim
    refuse_softcap(fields)
    refuse_unread(fields, head_dim, _OWN)
    rope = rope_from_gguf(fields, checkpoint.tensors, mla.rope_dim, "interleaved")
    return ModelConfig(
        family="deepseek_v3" if "blk.0.attn_q_a.weight" in checkpoint.tensors else "deepseek_v2",
        name=checkpoint.name,
        layers=layers,
        dim=fields.integer("embedding_length", high=MAX_DIM),
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        ffn=fields.integer("feed_forward_length", high=MAX_DIM),
        vocab=gguf_vocab(fields, checkpoint),
        context=fields.integer("context_length"),
        norm_eps=fields.number("attention.layer_norm_rms_epsilon", high=1.0),
        rope=replace(rope, attention_factor=1.0),
        tied="output.weight" not in checkpoint.tensors,
        query_scale=head_dim**-0.5 * _growth(fields, rope) ** 2,
        moe=_experts(fields, checkpoint, layers),
        mla=mla,
    )


def _latent(fields: Fields) -> MlaConfig:
    """Sizes; since the format knows latent caches, a head's own have keys of their own."""
    rank = fields.integer("attention.kv_lora_rank", high=MAX_DIM)
    rope = fields.integer("rope.dimension_count", high=MAX_DIM)
    keys, values = (
        fields.integer(f"attention.{what}_length_mla" if f"attention.{what}_length_mla" in fields else
                       f"attention.{what}_length", high=MAX_DIM)
        for what in ("key", "value")
    )  # fmt: skip
    if keys <= rope:
        raise fields.fail("attention.key_length", f"is {keys}, of which {rope} columns rotate and none stays")
    q_rank = fields.integer("attention.q_lora_rank", 0, low=0, high=MAX_DIM)
    return MlaConfig(q_rank=q_rank, kv_rank=rank, nope_dim=keys - rope, rope_dim=rope, v_dim=values)


def _growth(fields: Fields, rope: RopeConfig) -> float:
    """What queries and keys grow by under YaRN: here the key is a tenth of what config.json calls `mscale_all_dim`."""
    tenth = fields.number("rope.scaling.yarn_log_multiplier", 0.0)
    return 1.0 + tenth * math.log(rope.factor) if rope.scaling == "yarn" and rope.factor > 1.0 else 1.0


def _experts(fields: Fields, checkpoint: Checkpoint, layers: int) -> MoeConfig | None:
    """A mixture in the layers that have a router. Files of V2 do not state their scoring: it is softmax."""
    experts = fields.integer("expert_count", 0, low=0, high=MAX_EXPERTS)
    if not experts:
        return None
    tensors = checkpoint.tensors
    sparse = tuple(layer for layer in range(layers) if f"blk.{layer}.ffn_gate_inp.weight" in tensors)
    gating = fields.integer("expert_gating_func", 0, low=0) or 1
    if gating not in _SCORINGS:
        raise UnsupportedError(
            f"{fields.origin}: expert_gating_func {gating} is not supported by the family's reader.",
            remedy="Known: 1 (softmax) and 2 (sigmoid).",
        )
    ffn = fields.integer("expert_feed_forward_length", high=MAX_DIM)
    sigmoid = _SCORINGS[gating] == "sigmoid"
    return MoeConfig(
        experts=experts,
        top_k=fields.integer("expert_used_count", high=experts),
        ffn=ffn,
        layers=sparse,
        scoring="sigmoid" if sigmoid else "softmax",
        normalize=fields.flag("expert_weights_norm", False),
        scaling=fields.number("expert_weights_scale", 0.0) or 1.0,
        groups=fields.integer("expert_group_count", 0, low=0, high=experts) or 1,
        top_groups=fields.integer("expert_group_used_count", 0, low=0, high=experts) or 1,
        group_best=2 if sigmoid else 1,
        shared_ffn=ffn * fields.integer("expert_shared_count", 0, low=0, high=MAX_EXPERTS),
        selection_bias=any(f"blk.{layer}.exp_probs_b.bias" in tensors for layer in sparse),
    )
