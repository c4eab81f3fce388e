"""Gemma 2: capped scores and capped logits, norms before and after each part, every other layer windowed.

Hugging Face stores norm weights minus one, GGUF stores them as they multiply. Every layer rotates alike. Sources:
Gemma2Config of Hugging Face; the GGUF specification; the Gemma 2 report; llama.cpp's defaults of keys that files lack.
"""

from __future__ import annotations

import math
from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.model.config import MAX_DIM, MAX_LAYERS, ModelConfig
from undiced.model.families import llama
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import ADD_ONE, Name, Naming, always
from undiced.model.families.readers import gguf_config, gguf_windows, hf_activation, hf_window, hf_windows
from undiced.model.families.rope_fields import rope_from_hf

ATTENTION_CAP = 50.0  # published: of scores
LOGIT_CAP = 30.0  # published: of logits
WINDOW = 4096  # published: every other layer, from the first on
_LAYERS_27B = 46  # published: the one size whose query scale is not its head width, which GGUF does not store

GGUF_NAMES: Naming = {
    **llama.GGUF_NAMES,
    "attn.post_norm": "blk.{i}.post_attention_norm.weight",
    "ffn.post_norm": "blk.{i}.post_ffw_norm.weight",
}


def stored_minus_one(tensor: str) -> Name:
    """A norm's weights as Gemma's folders hold them."""
    return Name(tensor, steps=always(ADD_ONE))


HF_NAMES: Naming = {
    **llama.HF_NAMES,
    "attn.norm": stored_minus_one("{p}layers.{i}.input_layernorm.weight"),
    "attn.post_norm": stored_minus_one("{p}layers.{i}.post_attention_layernorm.weight"),
    "ffn.norm": stored_minus_one("{p}layers.{i}.pre_feedforward_layernorm.weight"),
    "ffn.post_norm": stored_minus_one("{p}layers.{i}.post_feedforward_layernorm.weight"),
    "final_norm": stored_minus_one("{p}norm.weight"),
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `gemma2.*` keys; windows and caps that a file does not state are the published ones."""
    config = gguf_config("gemma2", fields, checkpoint, "half", own=("attn_logit_softcapping",))
    assert config.rope is not None, "gguf_config reads a rope"
    if fields.number("rope.freq_base_swa", config.rope.theta) != config.rope.theta:
        raise UnsupportedError(
            f"{fields.origin}: rope.freq_base_swa is not supported by the family.",
            remedy="Known: the value of rope.freq_base, as in Gemma 2; of those supported, gemma3 has another base.",
        )
    width = config.dim / config.heads if config.layers == _LAYERS_27B else config.head_dim
    return replace(
        config,
        windows=gguf_windows(fields, config.layers, 2, WINDOW),
        activation="gelu_tanh",
        post_norms=True,
        embed_scale=math.sqrt(config.dim),
        query_scale=width**-0.5,
        attn_softcap=fields.number("attn_logit_softcapping", ATTENTION_CAP),
        logit_softcap=fields.number("final_logit_softcapping", LOGIT_CAP),
    )


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a Gemma2Config, with its defaults, on which published files rely; a null cap is none."""
    next_tokens_only(fields)
    dim = fields.integer("hidden_size", 2304, high=MAX_DIM)
    layers = fields.integer("num_hidden_layers", 26, high=MAX_LAYERS)
    head_dim = fields.integer("head_dim", 256, high=MAX_DIM)
    context = fields.integer("max_position_embeddings", 8192)
    bias = fields.flag("attention_bias", False)
    return ModelConfig(
        family="gemma2",
        name=fields.origin,
        layers=layers,
        dim=dim,
        heads=fields.integer("num_attention_heads", 8, high=MAX_DIM),
        kv_heads=fields.integer("num_key_value_heads", 4, high=MAX_DIM),
        head_dim=head_dim,
        ffn=fields.integer("intermediate_size", 9216, high=MAX_DIM),
        vocab=fields.integer("vocab_size", 256000),
        context=context,
        norm_eps=fields.number("rms_norm_eps", 1e-6, high=1.0),
        rope=rope_from_hf(fields, head_dim, context),
        activation=hf_activation(fields, "hidden_activation", "gelu_pytorch_tanh"),
        tied=fields.flag("tie_word_embeddings", True),
        windows=hf_windows(fields, layers, hf_window(fields, WINDOW), [layer % 2 == 0 for layer in range(layers)]),
        qkv_bias=bias,
        out_bias=bias,
        post_norms=True,
        embed_scale=math.sqrt(dim),
        query_scale=fields.number("query_pre_attn_scalar", 256.0, low=1e-6) ** -0.5,
        attn_softcap=_cap(fields, "attn_logit_softcapping", ATTENTION_CAP),
        logit_softcap=_cap(fields, "final_logit_softcapping", LOGIT_CAP),
    )


def _cap(fields: Fields, key: str, default: float) -> float:
    return 0.0 if key not in fields and fields.stated(key) else fields.number(key, default)


def next_tokens_only(fields: Fields) -> None:
    """Refuses Gemmas that were made to embed texts."""
    if fields.flag("use_bidirectional_attention", False):
        raise UnsupportedError(
            f"{fields.origin}: bidirectional attention makes no next tokens.",
            remedy="This is a model for embeddings; use one that generates text.",
        )


FAMILY = Family(
    name="gemma2",
    hf=("gemma2", "Gemma2ForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("gemma2",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
