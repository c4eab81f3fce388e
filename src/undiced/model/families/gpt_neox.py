"""GPT-NeoX and Pythia: attention and feed-forward side by side, norms with means and biases, a part of a head rotated.

Hugging Face stores q, k and v of one head after the other in one matrix, GGUF stores all of q, then k, then v. Sources:
GPTNeoXConfig of Hugging Face; the GGUF specification's keys and tensor names.
"""

from __future__ import annotations

from undiced.checkpoint import Checkpoint
from undiced.core.manifest import Transform
from undiced.model.config import MAX_DIM, MAX_LAYERS, Activation, ModelConfig, RopeConfig
from undiced.model.families import gpt2
from undiced.model.families.family import IGNORED, Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Name, Naming, Steps
from undiced.model.families.readers import (
    even_heads,
    gguf_vocab,
    hf_activation,
    no_windows,
    refuse_softcap,
    refuse_unread,
)
from undiced.model.families.rope_fields import read_rope, rope_from_gguf, stated_rope

SHARE = 0.25  # published: the part of a head's columns that rotates
THETA = 10000.0  # published

GGUF_NAMES: Naming = {role: name for role, name in gpt2.GGUF_NAMES.items() if role != "position_embed"}


def _rows_of_heads(index: int) -> Steps:
    """A head's rows of q (0), k (1) or v (2)."""
    return lambda config, head: (Transform("split", (3 * head + index) * config.head_dim, config.head_dim),)


def _fused(index: int) -> Name:
    tensor = "{p}layers.{i}.attention.query_key_value.weight"
    return Name(tensor, _rows_of_heads(index), lambda c: (3 * c.dim, c.dim), parts=lambda c: c.heads)


def _fused_bias(index: int) -> Name:
    tensor = "{p}layers.{i}.attention.query_key_value.bias"
    return Name(tensor, _rows_of_heads(index), lambda c: (3 * c.dim,), parts=lambda c: c.heads)


HF_NAMES: Naming = {
    "embed": "{p}embed_in.weight",
    "attn.norm": "{p}layers.{i}.input_layernorm.weight",
    "attn.norm.bias": "{p}layers.{i}.input_layernorm.bias",
    **{f"attn.{role}": _fused(index) for index, role in enumerate("qkv")},
    **{f"attn.{role}.bias": _fused_bias(index) for index, role in enumerate("qkv")},
    "attn.o": "{p}layers.{i}.attention.dense.weight",
    "attn.o.bias": "{p}layers.{i}.attention.dense.bias",
    "ffn.norm": "{p}layers.{i}.post_attention_layernorm.weight",
    "ffn.norm.bias": "{p}layers.{i}.post_attention_layernorm.bias",
    "ffn.up": "{p}layers.{i}.mlp.dense_h_to_4h.weight",
    "ffn.up.bias": "{p}layers.{i}.mlp.dense_h_to_4h.bias",
    "ffn.down": "{p}layers.{i}.mlp.dense_4h_to_h.weight",
    "ffn.down.bias": "{p}layers.{i}.mlp.dense_4h_to_h.bias",
    "final_norm": "{p}final_layer_norm.weight",
    "final_norm.bias": "{p}final_layer_norm.bias",
    "lm_head": "{h}.weight",
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `gptneox.*` keys; the activation is not among them, and is Pythia's."""
    tensors = checkpoint.tensors
    dim = fields.integer("embedding_length", high=MAX_DIM)
    heads = even_heads(fields, "attention.head_count", dim, None)
    refuse_unread(fields, dim // heads, own=("use_parallel_residual",))
    no_windows(fields)
    refuse_softcap(fields)
    if "use_parallel_residual" not in fields:
        raise fields.fail("use_parallel_residual", "is missing, expected true or false")
    return _config(
        checkpoint.name,
        (fields.integer("block_count", high=MAX_LAYERS), dim, heads),
        ffn=fields.integer("feed_forward_length", high=MAX_DIM),
        vocab=gguf_vocab(fields, checkpoint),
        context=fields.integer("context_length"),
        norm_eps=fields.number("attention.layer_norm_epsilon", high=1.0),
        rope=rope_from_gguf(fields, tensors, dim // heads, "half"),
        activation="gelu",
        tied="output.weight" not in tensors,
        biased="blk.0.attn_qkv.bias" in tensors,
        parallel=fields.flag("use_parallel_residual", True),
    )


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a GPTNeoXConfig, with its defaults."""
    dim = fields.integer("hidden_size", 6144, high=MAX_DIM)
    heads = even_heads(fields, "num_attention_heads", dim, 64)
    context = fields.integer("max_position_embeddings", 2048)
    theta, share = fields.number("rotary_emb_base", THETA), fields.number("rotary_pct", SHARE, high=1.0)
    inner = stated_rope(fields) or Fields({}, fields.origin)
    return _config(
        fields.origin,
        (fields.integer("num_hidden_layers", 44, high=MAX_LAYERS), dim, heads),
        ffn=fields.integer("intermediate_size", 24576, high=MAX_DIM),
        vocab=fields.integer("vocab_size", 50432),
        context=context,
        norm_eps=fields.number("layer_norm_eps", 1e-5, high=1.0),
        rope=read_rope(inner, fields, dim // heads, context, theta, share),
        activation=hf_activation(fields, "hidden_act", "gelu"),
        tied=fields.flag("tie_word_embeddings", False),
        biased=fields.flag("attention_bias", True),
        parallel=fields.flag("use_parallel_residual", True),
    )


def _config(
    name: str,
    sizes: tuple[int, int, int],
    *,
    ffn: int,
    vocab: int,
    context: int,
    norm_eps: float,
    rope: RopeConfig,
    activation: Activation,
    tied: bool,
    biased: bool,
    parallel: bool,
) -> ModelConfig:
    """Sizes are layers, dim and heads; `biased` says whether attention's products have biases."""
    layers, dim, heads = sizes
    return ModelConfig(
        family="gpt_neox",
        name=name,
        layers=layers,
        dim=dim,
        heads=heads,
        kv_heads=heads,
        head_dim=dim // heads,
        ffn=ffn,
        vocab=vocab,
        context=context,
        norm_eps=norm_eps,
        rope=rope,
        norm="layer",
        activation=activation,
        gated=False,
        tied=tied,
        qkv_bias=biased,
        out_bias=biased,
        mlp_bias=True,
        parallel=parallel,
    )


FAMILY = Family(
    name="gpt_neox",
    hf=("gpt_neox", "GPTNeoXForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("gptneox",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
    prefixes=(("gpt_neox.", "embed_out"), ("gpt_neox.", "lm_head")),
    ignored=(*IGNORED, "embed_out.weight", "*.attention.bias"),
)
