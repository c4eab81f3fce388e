"""OLMo 3: OLMo 2 with windows in three layers of four, whose rotation is never scaled.

GGUF files carry the architecture name "olmo2", which reads windows too. Source: Olmo3Config of Hugging Face.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.model.config import ModelConfig
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.olmo2 import HF_NAMES, PATTERN, completed
from undiced.model.families.readers import hf_config, hf_window, hf_windows

THETA = 500000.0  # published
WINDOW = 4096  # published


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from an Olmo3Config."""
    bias = fields.flag("attention_bias", False)
    theta = fields.number("rope_theta", THETA)
    config = hf_config("olmo3", fields, qkv_bias=bias, out_bias=bias, eps=1e-5, by_layer_type=(THETA, theta))
    windowed = [(layer + 1) % PATTERN != 0 for layer in range(config.layers)]
    return completed(replace(config, windows=hf_windows(fields, config.layers, hf_window(fields, WINDOW), windowed)))


FAMILY = Family(name="olmo3", hf=("olmo3", "Olmo3ForCausalLM"), read_hf=read_hf, hf_names=HF_NAMES)
