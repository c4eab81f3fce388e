"""Qwen3 (dense): a learned norm of every query and key head before rotation, no biases, heads of a stated width.

Sources: Qwen3Config of Hugging Face; the GGUF specification's tensor names.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.model.config import ModelConfig
from undiced.model.families import llama
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming
from undiced.model.families.qwen2 import QWEN_CONTEXT, qwen_windows
from undiced.model.families.readers import gguf_config, hf_config, no_windows, refuse_softcap

GGUF_NAMES: Naming = {
    **llama.GGUF_NAMES,
    "attn.q_norm": "blk.{i}.attn_q_norm.weight",
    "attn.k_norm": "blk.{i}.attn_k_norm.weight",
}
HF_NAMES: Naming = {
    **llama.HF_NAMES,
    "attn.q_norm": "{p}layers.{i}.self_attn.q_norm.weight",
    "attn.k_norm": "{p}layers.{i}.self_attn.k_norm.weight",
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `qwen3.*` keys."""
    no_windows(fields)
    refuse_softcap(fields)
    return replace(gguf_config("qwen3", fields, checkpoint, "half"), qk_norm="weight")


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a Qwen3Config."""
    bias = fields.flag("attention_bias", False)
    config = hf_config("qwen3", fields, qkv_bias=bias, out_bias=bias, head_dim=128, context=QWEN_CONTEXT)
    return replace(config, qk_norm="weight", windows=qwen_windows(fields, config.layers))


FAMILY = Family(
    name="qwen3",
    hf=("qwen3", "Qwen3ForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("qwen3",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
