"""Llama 4 (text): three layers that rotate and attend within chunks to one that does neither, and a routed expert.

The router's sigmoid multiplies an expert's input; a shared expert sees every token. Queries of layers without rotation
grow with the position. GGUF files state neither chunks nor growth: these are the published models'. Sources:
Llama4TextConfig of Hugging Face; the Llama 4 model card; llama.cpp's converter and its reader.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.core.manifest import Transform
from undiced.model.config import MAX_DIM, MAX_EXPERTS, ModelConfig, MoeConfig
from undiced.model.families import llama
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import TRANSPOSE, Name, Naming, Steps
from undiced.model.families.readers import gguf_config, hf_config, hf_window, hf_windows, refuse_softcap


def _moe(config: ModelConfig) -> MoeConfig:
    assert config.moe is not None, "the family is a mixture"
    return config.moe


def _half(index: int) -> Steps:
    """One expert's gate (0) or up (1): its rows, turned, the first or the second half."""

    def steps(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
        ffn = _moe(config).ffn
        own = Transform("split", expert * config.dim, config.dim)
        return (own, TRANSPOSE, Transform("split", index * ffn, ffn))

    return steps


def _down(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
    ffn = _moe(config).ffn
    return (Transform("split", expert * ffn, ffn), TRANSPOSE)


def _gate_up(index: int) -> Name:
    return Name(
        "{p}layers.{i}.feed_forward.experts.gate_up_proj",
        _half(index),
        lambda c: (_moe(c).experts, c.dim, 2 * _moe(c).ffn),
        each_expert=True,
    )


HF_NAMES: Naming = {
    **llama.HF_NAMES,
    "ffn.gate": "{p}layers.{i}.feed_forward.gate_proj.weight",
    "ffn.up": "{p}layers.{i}.feed_forward.up_proj.weight",
    "ffn.down": "{p}layers.{i}.feed_forward.down_proj.weight",
    "moe.router": "{p}layers.{i}.feed_forward.router.weight",
    "moe.gate": _gate_up(0),
    "moe.up": _gate_up(1),
    "moe.down": Name(
        "{p}layers.{i}.feed_forward.experts.down_proj",
        _down,
        lambda c: (_moe(c).experts, _moe(c).ffn, c.dim),
        each_expert=True,
    ),
    "moe.shared.gate": "{p}layers.{i}.feed_forward.shared_expert.gate_proj.weight",
    "moe.shared.up": "{p}layers.{i}.feed_forward.shared_expert.up_proj.weight",
    "moe.shared.down": "{p}layers.{i}.feed_forward.shared_expert.down_proj.weight",
}


GGUF_NAMES: Naming = {
    **llama.GGUF_NAMES,
    "moe.shared.gate": "blk.{i}.ffn_gate_shexp.weight",
    "moe.shared.up": "blk.{i}.ffn_up_shexp.weight",
    "moe.shared.down": "blk.{i}.ffn_down_shexp.weight",
}
_CHUNK, _FLOOR, _GROWTH, _PERIOD = 8192, 8192, 0.1, 4  # published: configurations of Scout and Maverick
_MAVERICK_EXPERTS = 128  # published: the size whose queries and keys have no norm


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `llama4.*` keys. A stated window of 0 says that every layer rotates and attends to all."""
    config = gguf_config("llama4", fields, checkpoint, "interleaved")
    refuse_softcap(fields)
    if config.moe is None or config.rope is None:
        raise fields.fail("expert_count", "is missing, expected the number of experts")
    moe = replace(
        config.moe,
        scoring="sigmoid",
        normalize=False,
        shared_ffn=config.moe.ffn,
        scale_input=True,
    )
    whole = fields.integer("attention.sliding_window", -1, low=-1) == 0
    still = () if whole else tuple(range(_PERIOD - 1, config.layers, _PERIOD))
    return replace(
        config,
        rope=replace(config.rope, skip_layers=still),
        windows=() if whole else tuple(0 if layer in still else _CHUNK for layer in range(config.layers)),
        chunked=True,
        qk_norm="none" if moe.experts == _MAVERICK_EXPERTS else "l2",
        temperature_floor=0 if whole else _FLOOR,
        temperature_scale=0.0 if whole else _GROWTH,
        moe=moe,
    )


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a Llama4TextConfig."""
    bias = fields.flag("attention_bias", False)
    config = hf_config(
        "llama4", fields, qkv_bias=bias, out_bias=bias, head_dim=128, theta=500000.0, eps=1e-5, context=131072
    )
    layers = config.layers
    assert config.rope is not None, "hf_config reads a rope"
    rotated = _rotated(fields, layers)
    rope = replace(
        config.rope, style="interleaved", skip_layers=tuple(i for i, turned in enumerate(rotated) if not turned)
    )
    experts = fields.integer("num_local_experts", 16, high=MAX_EXPERTS)
    ffn = config.ffn
    moe = MoeConfig(
        experts=experts,
        top_k=fields.integer("num_experts_per_tok", 1, high=experts),
        ffn=ffn,
        layers=_sparse_layers(fields, layers),
        scoring="sigmoid",
        normalize=False,
        shared_ffn=ffn,
        scale_input=True,
    )
    grows = bool(fields.value("attn_temperature_tuning")) if "attn_temperature_tuning" in fields else True
    return replace(
        config,
        rope=rope,
        ffn=fields.integer("intermediate_size_mlp", 16384, high=MAX_DIM),
        windows=hf_windows(fields, layers, hf_window(fields, 8192, "attention_chunk_size"), rotated),
        chunked=True,
        qk_norm="l2" if fields.flag("use_qk_norm", True) else "none",
        temperature_floor=fields.integer("floor_scale", 8192) if grows else 0,
        temperature_scale=fields.number("attn_scale", 0.1) if grows else 0.0,
        moe=moe,
    )


def _rotated(fields: Fields, layers: int) -> list[bool]:
    """Which layers rotate: listed as zeros and ones, or all but every n-th."""
    listed = fields.items("no_rope_layers", int, layers) if fields.value("no_rope_layers") else None
    if listed is not None:
        return [bool(layer) for layer in listed]
    interval = fields.integer("no_rope_layer_interval", 4)
    return [(layer + 1) % interval != 0 for layer in range(layers)]


def _sparse_layers(fields: Fields, layers: int) -> tuple[int, ...]:
    listed = fields.value("moe_layers")
    if listed is None:
        step = fields.integer("interleave_moe_layer_step", 1)
        return tuple(range(step - 1, layers, step))
    if not isinstance(listed, list) or not all(type(layer) is int for layer in listed):
        raise fields.fail("moe_layers", "is no list of layers")
    return tuple(sorted(set(listed)))


FAMILY = Family(
    name="llama4",
    hf=("llama4_text", "Llama4ForCausalLM", "llama4", "Llama4ForConditionalGeneration"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("llama4",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
