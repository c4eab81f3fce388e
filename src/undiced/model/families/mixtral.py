"""Mixtral: llama's attention, and in every layer eight experts of which each token visits two.

GGUF files carry the architecture name "llama" with an expert count, which that family reads. Source: MixtralConfig of
Hugging Face; experts' w1, w3, w2 are gate, up, down.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.model.config import MAX_DIM, MAX_EXPERTS, ModelConfig, MoeConfig
from undiced.model.families import llama
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming
from undiced.model.families.readers import hf_config, hf_windows

HF_NAMES: Naming = {
    **llama.HF_NAMES,
    "moe.router": "{p}layers.{i}.block_sparse_moe.gate.weight",
    "moe.gate": "{p}layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
    "moe.up": "{p}layers.{i}.block_sparse_moe.experts.{e}.w3.weight",
    "moe.down": "{p}layers.{i}.block_sparse_moe.experts.{e}.w2.weight",
}


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a MixtralConfig."""
    config = hf_config("mixtral", fields, theta=1e6, eps=1e-5, context=131072)
    experts = fields.integer("num_local_experts", 8, high=MAX_EXPERTS)
    moe = MoeConfig(
        experts=experts,
        top_k=fields.integer("num_experts_per_tok", 2, high=experts),
        ffn=fields.integer("intermediate_size", high=MAX_DIM),
        layers=tuple(range(config.layers)),
    )
    window = fields.integer("sliding_window", 0, low=0)
    return replace(config, moe=moe, windows=hf_windows(fields, config.layers, window, [True] * config.layers))


FAMILY = Family(name="mixtral", hf=("mixtral", "MixtralForCausalLM"), read_hf=read_hf, hf_names=HF_NAMES)
