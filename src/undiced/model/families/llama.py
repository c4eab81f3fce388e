"""Llama 2 and 3, SmolLM2 and others of their shape: pre-norm, grouped heads, rotary positions, gated feed-forward.

GGUF stores rows of q and k permuted for interleaved pairs, config.json models rotate halves. Sources: the GGUF
specification's tensor names; LlamaConfig of Hugging Face. Mixtral's GGUF files carry this architecture's name too.
"""

from __future__ import annotations

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.model.config import MAX_DIM, MAX_EXPERTS, MAX_LAYERS, ModelConfig, MoeConfig, RopeStyle
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming
from undiced.model.families.rope_fields import rope_from_gguf, rope_from_hf

GGUF_NAMES: Naming = {
    "embed": "token_embd.weight",
    "rope_factors": "rope_freqs.weight",
    "attn.norm": "blk.{i}.attn_norm.weight",
    "attn.q": "blk.{i}.attn_q.weight",
    "attn.k": "blk.{i}.attn_k.weight",
    "attn.v": "blk.{i}.attn_v.weight",
    "attn.o": "blk.{i}.attn_output.weight",
    "attn.q.bias": "blk.{i}.attn_q.bias",
    "attn.k.bias": "blk.{i}.attn_k.bias",
    "attn.v.bias": "blk.{i}.attn_v.bias",
    "attn.o.bias": "blk.{i}.attn_output.bias",
    "ffn.norm": "blk.{i}.ffn_norm.weight",
    "ffn.gate": "blk.{i}.ffn_gate.weight",
    "ffn.up": "blk.{i}.ffn_up.weight",
    "ffn.down": "blk.{i}.ffn_down.weight",
    "ffn.gate.bias": "blk.{i}.ffn_gate.bias",
    "ffn.up.bias": "blk.{i}.ffn_up.bias",
    "ffn.down.bias": "blk.{i}.ffn_down.bias",
    "moe.router": "blk.{i}.ffn_gate_inp.weight",
    "moe.gate": "blk.{i}.ffn_gate_exps.weight",
    "moe.up": "blk.{i}.ffn_up_exps.weight",
    "moe.down": "blk.{i}.ffn_down_exps.weight",
    "final_norm": "output_norm.weight",
    "lm_head": "output.weight",
}
HF_NAMES: Naming = {
    "embed": "{p}embed_tokens.weight",
    "attn.norm": "{p}layers.{i}.input_layernorm.weight",
    "attn.q": "{p}layers.{i}.self_attn.q_proj.weight",
    "attn.k": "{p}layers.{i}.self_attn.k_proj.weight",
    "attn.v": "{p}layers.{i}.self_attn.v_proj.weight",
    "attn.o": "{p}layers.{i}.self_attn.o_proj.weight",
    "attn.q.bias": "{p}layers.{i}.self_attn.q_proj.bias",
    "attn.k.bias": "{p}layers.{i}.self_attn.k_proj.bias",
    "attn.v.bias": "{p}layers.{i}.self_attn.v_proj.bias",
    "attn.o.bias": "{p}layers.{i}.self_attn.o_proj.bias",
    "ffn.norm": "{p}layers.{i}.post_attention_layernorm.weight",
    "ffn.gate": "{p}layers.{i}.mlp.gate_proj.weight",
    "ffn.up": "{p}layers.{i}.mlp.up_proj.weight",
    "ffn.down": "{p}layers.{i}.mlp.down_proj.weight",
    "ffn.gate.bias": "{p}layers.{i}.mlp.gate_proj.bias",
    "ffn.up.bias": "{p}layers.{i}.mlp.up_proj.bias",
    "ffn.down.bias": "{p}layers.{i}.mlp.down_proj.bias",
    "final_norm": "{p}norm.weight",
    "lm_head": "lm_head.weight",
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `llama.*` keys; biases and a separate head are there when their tensors are."""
    return gguf_config("llama", fields, checkpoint, "interleaved")


def gguf_config(family: str, fields: Fields, checkpoint: Checkpoint, style: RopeStyle) -> ModelConfig:
    """What most GGUF architectures share: the same keys after their own prefix, the same tensor names."""
    tensors = checkpoint.tensors
    layers = fields.integer("block_count", high=MAX_LAYERS)
    dim = fields.integer("embedding_length", high=MAX_DIM)
    heads = fields.integer("attention.head_count", high=MAX_DIM)
    head_dim = gguf_head_dim(fields, dim, heads)
    window = fields.integer("attention.sliding_window", 0, low=0)
    return ModelConfig(
        family=family,
        name=checkpoint.name,
        layers=layers,
        dim=dim,
        heads=heads,
        kv_heads=fields.integer("attention.head_count_kv", heads, high=MAX_DIM),
        head_dim=head_dim,
        ffn=fields.integer("feed_forward_length", high=MAX_DIM),
        vocab=gguf_vocab(fields, checkpoint),
        context=fields.integer("context_length"),
        norm_eps=fields.number("attention.layer_norm_rms_epsilon", 1e-5, high=1.0),
        rope=rope_from_gguf(fields, tensors, head_dim, style),
        tied="output.weight" not in tensors,
        windows=(window,) * layers if window else (),
        qkv_bias="blk.0.attn_q.bias" in tensors,
        out_bias="blk.0.attn_output.bias" in tensors,
        mlp_bias="blk.0.ffn_up.bias" in tensors,
        moe=_gguf_experts(fields, layers),
    )


def gguf_head_dim(fields: Fields, dim: int, heads: int) -> int:
    """Width of a head: stated, or dim over heads. Keys and values must agree."""
    if "attention.key_length" not in fields and dim % heads:
        raise fields.fail("attention.head_count", f"is {heads}, which does not divide {dim}")
    head_dim = fields.integer("attention.key_length", dim // heads, high=MAX_DIM)
    if fields.integer("attention.value_length", head_dim, high=MAX_DIM) != head_dim:
        raise UnsupportedError(f"{fields.origin}: keys and values of different widths are not supported.")
    return head_dim


def gguf_vocab(fields: Fields, checkpoint: Checkpoint) -> int:
    """Rows of the embedding table."""
    table = checkpoint.tensors.get("token_embd.weight")
    if table is None or len(table.shape) != 2:
        raise fields.fail("vocab_size", "cannot be told: tensor token_embd.weight is missing or no matrix")
    return table.shape[0]


def _gguf_experts(fields: Fields, layers: int) -> MoeConfig | None:
    experts = fields.integer("expert_count", 0, low=0, high=MAX_EXPERTS)
    if not experts:
        return None
    return MoeConfig(
        experts=experts,
        top_k=fields.integer("expert_used_count", high=experts),
        ffn=fields.integer("feed_forward_length", high=MAX_DIM),
        layers=tuple(range(layers)),
    )


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a LlamaConfig."""
    return hf_config(
        "llama",
        fields,
        qkv_bias=fields.flag("attention_bias", False),
        out_bias=fields.flag("attention_bias", False),
        mlp_bias=fields.flag("mlp_bias", False),
    )


def hf_config(
    family: str,
    fields: Fields,
    *,
    qkv_bias: bool = False,
    out_bias: bool = False,
    mlp_bias: bool = False,
    theta: float = 10000.0,
) -> ModelConfig:
    """What most config.json models share."""
    dim = fields.integer("hidden_size", high=MAX_DIM)
    heads = fields.integer("num_attention_heads", high=MAX_DIM)
    if "head_dim" not in fields and dim % heads:
        raise fields.fail("num_attention_heads", f"is {heads}, which does not divide {dim}")
    head_dim = fields.integer("head_dim", dim // heads, high=MAX_DIM)
    context = fields.integer("max_position_embeddings", 2048)
    return ModelConfig(
        family=family,
        name=fields.text("_name_or_path", "") or fields.origin,
        layers=fields.integer("num_hidden_layers", high=MAX_LAYERS),
        dim=dim,
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads", heads, high=MAX_DIM),
        head_dim=head_dim,
        ffn=fields.integer("intermediate_size", high=MAX_DIM),
        vocab=fields.integer("vocab_size"),
        context=context,
        norm_eps=fields.number("rms_norm_eps", 1e-6, high=1.0),
        rope=rope_from_hf(fields, head_dim, context, theta),
        tied=fields.flag("tie_word_embeddings", False),
        qkv_bias=qkv_bias,
        out_bias=out_bias,
        mlp_bias=mlp_bias,
    )


FAMILY = Family(
    name="llama",
    hf=("llama", "LlamaForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("llama",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
