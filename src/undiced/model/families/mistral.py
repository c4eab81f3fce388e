"""Mistral: llama's shape with a sliding window in every layer (or none, since 7B v0.2).

GGUF files of Mistral models carry the architecture name "llama", which reads the window's key too. Sources:
MistralConfig and Mistral3Config of Hugging Face (the latter wraps the same text model beside a vision tower).
"""

from __future__ import annotations

from dataclasses import replace

from undiced.model.config import ModelConfig
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.llama import HF_NAMES
from undiced.model.families.readers import hf_config, hf_window, hf_windows

_DEFAULT_WINDOW = 4096  # published: MistralConfig, where config.json does not say


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a MistralConfig; a null window means none."""
    config = hf_config("mistral", fields, context=131072)
    window = hf_window(fields, _DEFAULT_WINDOW)
    return replace(config, windows=hf_windows(fields, config.layers, window, [True] * config.layers))


FAMILY = Family(
    name="mistral",
    hf=("mistral", "MistralForCausalLM", "mistral3", "Mistral3ForConditionalGeneration"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
)
