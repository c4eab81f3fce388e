"""Granite (dense, 3.0 and on): llama's shape with factors on embeddings, scores, sums and logits.

GGUF stores rows of q and k permuted for interleaved pairs, as llama's. Sources: GraniteConfig of Hugging Face; the GGUF
specification's keys and tensor names.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.model.config import ModelConfig
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.llama import GGUF_NAMES, HF_NAMES
from undiced.model.families.readers import gguf_config, hf_config, no_windows, refuse_softcap

_SCALES = ("attention.scale", "embedding_scale", "residual_scale", "logit_scale")
_LEAST = 1e-6  # assumed: a factor of 0 would leave nothing of a model


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `granite.*` keys; a factor of 0, or none, is what a llama has."""
    config = gguf_config("granite", fields, checkpoint, "interleaved", own=_SCALES)
    no_windows(fields)
    refuse_softcap(fields)
    if config.moe is not None:
        raise UnsupportedError(
            f"{fields.origin}: expert_count is not supported by the family.",
            remedy="Use a dense Granite; its mixtures have an architecture of their own.",
        )
    if not fields.flag("rope.scaling.finetuned", True):  # llama.cpp's way to say that a Granite does not rotate
        raise UnsupportedError(
            f"{fields.origin}: rope.scaling.finetuned False is not supported by the family.",
            remedy="Use a Granite with rotary positions.",
        )
    attention, embedding, residual, logits = (fields.number(key, 0.0) for key in _SCALES)
    return _scaled(config, attention, embedding or 1.0, residual or 1.0, logits or 1.0)


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a GraniteConfig; its factors are 1 where they are not stated, on scores too."""
    bias = fields.flag("attention_bias", False)
    config = hf_config("granite", fields, qkv_bias=bias, out_bias=bias, mlp_bias=fields.flag("mlp_bias", False))
    attention, embedding, residual = (
        fields.number(f"{what}_multiplier", 1.0, low=_LEAST) for what in ("attention", "embedding", "residual")
    )
    return _scaled(config, attention, embedding, residual, fields.number("logits_scaling", 1.0, low=_LEAST))


def _scaled(config: ModelConfig, attention: float, embedding: float, residual: float, logits: float) -> ModelConfig:
    """Both formats state what logits are divided by; 0 for `attention` is the usual factor on scores."""
    return replace(
        config, query_scale=attention, embed_scale=embedding, residual_scale=residual, logit_scale=1.0 / logits
    )


FAMILY = Family(
    name="granite",
    hf=("granite", "GraniteForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("granite",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
