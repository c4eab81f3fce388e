"""Qwen2 and Qwen2.5: llama's shape with biases on q, k and v; rotary halves in both file formats.

Sources: Qwen2Config of Hugging Face; the GGUF specification's tensor names.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.model.config import ModelConfig
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.llama import GGUF_NAMES, HF_NAMES
from undiced.model.families.readers import gguf_config, hf_config, hf_window, hf_windows, no_windows, refuse_softcap

QWEN_CONTEXT = 32768  # published: the default of the configurations of Qwen 2 and 3


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `qwen2.*` keys."""
    no_windows(fields)
    refuse_softcap(fields)
    return gguf_config("qwen2", fields, checkpoint, "half")


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a Qwen2Config."""
    config = hf_config("qwen2", fields, qkv_bias=True, context=QWEN_CONTEXT)
    return replace(config, windows=qwen_windows(fields, config.layers))


def qwen_windows(fields: Fields, layers: int) -> tuple[int, ...]:
    """Qwen's rule: with `use_sliding_window`, layers from `max_window_layers` on are windowed."""
    window = hf_window(fields, 4096) if fields.flag("use_sliding_window", False) else 0
    first = fields.integer("max_window_layers", 28, low=0)
    return hf_windows(fields, layers, window, [layer >= first for layer in range(layers)])


FAMILY = Family(
    name="qwen2",
    hf=("qwen2", "Qwen2ForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("qwen2",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
