"""OLMo 2: norms behind attention and feed-forward alone, and one norm of all query heads and one of all key heads.

Sources: Olmo2Config of Hugging Face; the GGUF specification's tensor names; the OLMo 2 report.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.model.config import ModelConfig
from undiced.model.families import llama
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming
from undiced.model.families.readers import gguf_config, hf_config, refuse_softcap

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
    """Configuration from `olmo2.*` keys; files of OLMo 3 carry this architecture's name, too, and have windows."""
    if fields.value("attention.sliding_window"):
        raise UnsupportedError(
            f"{fields.origin}: attention.sliding_window is not supported by the family.",
            remedy="The file is an OLMo 3; use an OLMo 2, which has no window.",
        )
    refuse_softcap(fields)
    return _completed(gguf_config("olmo2", fields, checkpoint, "half"))


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from an Olmo2Config."""
    bias = fields.flag("attention_bias", False)
    return _completed(hf_config("olmo2", fields, qkv_bias=bias, out_bias=bias, eps=1e-5))


def _completed(config: ModelConfig) -> ModelConfig:
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
