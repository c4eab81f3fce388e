"""Gemma 3 (text): norms before and after each part, norms of heads, five windowed layers to one full.

Hugging Face stores norm weights minus one, GGUF stores them as they multiply. Windowed layers rotate with a base of
their own and are never scaled. Sources: Gemma3TextConfig of Hugging Face; the GGUF specification; the Gemma 3 report.
"""

from __future__ import annotations

import math
from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.model.config import MAX_DIM, MAX_LAYERS, ModelConfig
from undiced.model.families import gemma2
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming
from undiced.model.families.readers import gguf_config, gguf_windows, hf_activation, hf_window, hf_windows
from undiced.model.families.rope_fields import rope_by_layer_type

PATTERN = 6  # published: every sixth layer attends to everything
THETA = 1e6  # published: rotary base of layers that attend to everything
LOCAL_THETA = 10000.0  # published: rotary base of windowed layers
_LAYERS_27B = 62  # published: the one size whose query scale is not its head width, which GGUF does not store

GGUF_NAMES: Naming = {
    **gemma2.GGUF_NAMES,
    "attn.q_norm": "blk.{i}.attn_q_norm.weight",
    "attn.k_norm": "blk.{i}.attn_k_norm.weight",
}
HF_NAMES: Naming = {
    **gemma2.HF_NAMES,
    "attn.q_norm": gemma2.stored_minus_one("{p}layers.{i}.self_attn.q_norm.weight"),
    "attn.k_norm": gemma2.stored_minus_one("{p}layers.{i}.self_attn.k_norm.weight"),
}


def _windowed(layers: int, pattern: int = PATTERN) -> list[bool]:
    """All layers but every `pattern`-th."""
    return [(layer + 1) % pattern != 0 for layer in range(layers)]


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `gemma3.*` keys; the pattern of windows is seldom among them.

    A file without a window is one whose layers all attend to everything, and then all rotate alike.
    """
    config = gguf_config("gemma3", fields, checkpoint, "half")
    assert config.rope is not None, "gguf_config reads a rope"
    windows = gguf_windows(fields, config.layers, PATTERN)
    local = fields.number("rope.freq_base_swa", LOCAL_THETA) if windows else 0.0
    width = config.dim / config.heads if config.layers == _LAYERS_27B else config.head_dim
    return replace(
        config,
        rope=replace(config.rope, local_theta=local),
        windows=windows,
        activation="gelu_tanh",
        qk_norm="weight",
        post_norms=True,
        embed_scale=math.sqrt(config.dim),
        query_scale=width**-0.5,
        logit_softcap=fields.number("final_logit_softcapping", 0.0),
    )


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a Gemma3TextConfig, with its defaults, on which published files rely."""
    gemma2.next_tokens_only(fields)
    dim = fields.integer("hidden_size", 2304, high=MAX_DIM)
    layers = fields.integer("num_hidden_layers", 26, high=MAX_LAYERS)
    head_dim = fields.integer("head_dim", 256, high=MAX_DIM)
    context = fields.integer("max_position_embeddings", 131072)
    bias = fields.flag("attention_bias", False)
    window = hf_window(fields, 4096)
    pattern = fields.integer("sliding_window_pattern", PATTERN)
    return ModelConfig(
        family="gemma3",
        name=fields.origin,
        layers=layers,
        dim=dim,
        heads=fields.integer("num_attention_heads", 8, high=MAX_DIM),
        kv_heads=fields.integer("num_key_value_heads", 4, high=MAX_DIM),
        head_dim=head_dim,
        ffn=fields.integer("intermediate_size", 9216, high=MAX_DIM),
        vocab=fields.integer("vocab_size", 262208),
        context=context,
        norm_eps=fields.number("rms_norm_eps", 1e-6, high=1.0),
        rope=rope_by_layer_type(fields, head_dim, context, THETA, fields.number("rope_local_base_freq", LOCAL_THETA)),
        activation=hf_activation(fields, "hidden_activation", "gelu_pytorch_tanh"),
        tied=fields.flag("tie_word_embeddings", True),
        windows=hf_windows(fields, layers, window, _windowed(layers, pattern)),
        qk_norm="weight",
        qkv_bias=bias,
        out_bias=bias,
        post_norms=True,
        embed_scale=math.sqrt(dim),
        query_scale=fields.number("query_pre_attn_scalar", 256.0, low=1e-6) ** -0.5,
        logit_softcap=fields.number("final_logit_softcapping", 0.0),
    )


FAMILY = Family(
    name="gemma3",
    hf=("gemma3_text", "Gemma3ForCausalLM", "gemma3", "Gemma3ForConditionalGeneration"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("gemma3",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
