"""OLMo 2 and 3: norms behind attention and feed-forward alone, one norm of all query heads and one of all key heads.

GGUF files of OLMo 3 carry this architecture's name, too. Sources: Olmo2Config of Hugging Face; the GGUF specification's
tensor names; the OLMo 2 report.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.model.config import ModelConfig
from undiced.model.families import llama
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming
from undiced.model.families.readers import gguf_config, gguf_windows, hf_config, refuse_softcap

PATTERN = 4  # published: of OLMo 3, every fourth layer attends to everything
_BEFORE = ("attn.norm", "ffn.norm")

GGUF_NAMES: Naming = {
    **{role: name for role, name in llama.GGUF_NAMES.items() if role not in _BEFORE},
    "attn.q_norm": "blk.{i}.attn_q_norm.weight",
    "attn.k_norm": "blk.{i}.attn_k_norm.weight",
    "attn.post_norm": "blk.{i}.post_attention_norm.weight",
    "ffn.post_norm": "blk.{i}.post_ffw_norm.weight",
}
HF_NAMES: Naming = {
    **{role: name for role, name in llama.HF_NAMES.items() if role not in _BEFORE},
    "attn.q_norm": "{p}layers.{i}.self_attn.q_norm.weight",
    "attn.k_norm": "{p}layers.{i}.self_attn.k_norm.weight",
    "attn.post_norm": "{p}layers.{i}.post_attention_layernorm.weight",
    "ffn.post_norm": "{p}layers.{i}.post_feedforward_layernorm.weight",
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `olmo2.*` keys; a stated window is OLMo 3's."""
    refuse_softcap(fields)
    config = gguf_config("olmo2", fields, checkpoint, "half")
    assert config.rope is not None, "gguf_config reads a rope"
    windows = gguf_windows(fields, config.layers, PATTERN)
    local = fields.number("rope.freq_base_swa", config.rope.theta) if windows else 0.0
    return completed(replace(config, windows=windows, rope=replace(config.rope, local_theta=local)))


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from an Olmo2Config."""
    bias = fields.flag("attention_bias", False)
    return completed(hf_config("olmo2", fields, qkv_bias=bias, out_bias=bias, eps=1e-5))


def completed(config: ModelConfig) -> ModelConfig:
    """The configuration with the family's norms."""
    return replace(config, qk_norm="whole", pre_norms=False, post_norms=True)


FAMILY = Family(
    name="olmo2",
    hf=("olmo2", "Olmo2ForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("olmo2",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
