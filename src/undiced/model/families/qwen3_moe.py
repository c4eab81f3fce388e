"""Qwen3 mixtures of experts: Qwen3's attention, and many narrow experts instead of the feed-forward.

Sources: Qwen3MoeConfig of Hugging Face; the GGUF specification's tensor names ("qwen3moe").
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.model.config import MAX_DIM, MAX_EXPERTS, ModelConfig, MoeConfig
from undiced.model.families import qwen3
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming
from undiced.model.families.qwen2 import QWEN_CONTEXT, qwen_windows
from undiced.model.families.readers import gguf_config, hf_config, no_windows, refuse_softcap

HF_NAMES: Naming = {
    **qwen3.HF_NAMES,
    "moe.router": "{p}layers.{i}.mlp.gate.weight",
    "moe.gate": "{p}layers.{i}.mlp.experts.{e}.gate_proj.weight",
    "moe.up": "{p}layers.{i}.mlp.experts.{e}.up_proj.weight",
    "moe.down": "{p}layers.{i}.mlp.experts.{e}.down_proj.weight",
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `qwen3moe.*` keys; every layer is sparse and scores of the chosen are normalized."""
    no_windows(fields)
    refuse_softcap(fields)
    config = gguf_config("qwen3_moe", fields, checkpoint, "half")
    return replace(config, qk_norm="weight")


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a Qwen3MoeConfig."""
    bias = fields.flag("attention_bias", False)
    config = hf_config("qwen3_moe", fields, qkv_bias=bias, out_bias=bias, context=QWEN_CONTEXT)
    experts = fields.integer("num_experts", fields.integer("num_local_experts", 128), high=MAX_EXPERTS)
    moe = MoeConfig(
        experts=experts,
        top_k=fields.integer("num_experts_per_tok", 8, high=experts),
        ffn=fields.integer("moe_intermediate_size", 768, high=MAX_DIM),
        layers=_sparse_layers(fields, config.layers),
        normalize=fields.flag("norm_topk_prob", False),
    )
    return replace(config, qk_norm="weight", moe=moe, windows=qwen_windows(fields, config.layers))


def _sparse_layers(fields: Fields, layers: int) -> tuple[int, ...]:
    """Every `decoder_sparse_step`-th layer, except those listed as dense."""
    step = fields.integer("decoder_sparse_step", 1)
    dense = fields.value("mlp_only_layers") or []
    if not isinstance(dense, list) or not all(type(layer) is int for layer in dense):
        raise fields.fail("mlp_only_layers", "is no list of layers")
    return tuple(layer for layer in range(layers) if (layer + 1) % step == 0 and layer not in dense)


FAMILY = Family(
    name="qwen3_moe",
    hf=("qwen3_moe", "Qwen3MoeForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("qwen3moe",),
    read_gguf=read_gguf,
    gguf_names=qwen3.GGUF_NAMES,
)
