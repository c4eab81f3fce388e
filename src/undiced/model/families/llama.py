"""Llama 2 and 3, SmolLM2 and others of their shape: pre-norm, grouped heads, rotary positions, gated feed-forward.

GGUF stores rows of q and k permuted for interleaved pairs, config.json models rotate halves. Sources: the GGUF
specification's tensor names; LlamaConfig of Hugging Face. Mixtral's GGUF files carry this architecture's name too.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.model.config import ModelConfig
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming
from undiced.model.families.readers import gguf_config, gguf_windows, hf_config, refuse_softcap

GGUF_NAMES: Naming = {
    "embed": "token_embd.weight",
    "rope_factors": "rope_freqs.weight",
    "attn.norm": "blk.{i}.attn_norm.weight",
    "attn.q": "blk.{i}.attn_q.weight",
    "attn.k": "blk.{i}.attn_k.weight",
    "attn.v": "blk.{i}.attn_v.weight",
    "attn.o": "blk.{i}.attn_output.weight",
    "attn.q.bias": "blk.{i}.attn_q.bias",
    "attn.k.bias": "blk.{i}.attn_k.bias",
    "attn.v.bias": "blk.{i}.attn_v.bias",
    "attn.o.bias": "blk.{i}.attn_output.bias",
    "ffn.norm": "blk.{i}.ffn_norm.weight",
    "ffn.gate": "blk.{i}.ffn_gate.weight",
    "ffn.up": "blk.{i}.ffn_up.weight",
    "ffn.down": "blk.{i}.ffn_down.weight",
    "ffn.gate.bias": "blk.{i}.ffn_gate.bias",
    "ffn.up.bias": "blk.{i}.ffn_up.bias",
    "ffn.down.bias": "blk.{i}.ffn_down.bias",
    "moe.router": "blk.{i}.ffn_gate_inp.weight",
    "moe.gate": "blk.{i}.ffn_gate_exps.weight",
    "moe.up": "blk.{i}.ffn_up_exps.weight",
    "moe.down": "blk.{i}.ffn_down_exps.weight",
    "final_norm": "output_norm.weight",
    "lm_head": "output.weight",
}
HF_NAMES: Naming = {
    "embed": "{p}embed_tokens.weight",
    "attn.norm": "{p}layers.{i}.input_layernorm.weight",
    "attn.q": "{p}layers.{i}.self_attn.q_proj.weight",
    "attn.k": "{p}layers.{i}.self_attn.k_proj.weight",
    "attn.v": "{p}layers.{i}.self_attn.v_proj.weight",
    "attn.o": "{p}layers.{i}.self_attn.o_proj.weight",
    "attn.q.bias": "{p}layers.{i}.self_attn.q_proj.bias",
    "attn.k.bias": "{p}layers.{i}.self_attn.k_proj.bias",
    "attn.v.bias": "{p}layers.{i}.self_attn.v_proj.bias",
    "attn.o.bias": "{p}layers.{i}.self_attn.o_proj.bias",
    "ffn.norm": "{p}layers.{i}.post_attention_layernorm.weight",
    "ffn.gate": "{p}layers.{i}.mlp.gate_proj.weight",
    "ffn.up": "{p}layers.{i}.mlp.up_proj.weight",
    "ffn.down": "{p}layers.{i}.mlp.down_proj.weight",
    "ffn.gate.bias": "{p}layers.{i}.mlp.gate_proj.bias",
    "ffn.up.bias": "{p}layers.{i}.mlp.up_proj.bias",
    "ffn.down.bias": "{p}layers.{i}.mlp.down_proj.bias",
    "final_norm": "{p}norm.weight",
    "lm_head": "{h}lm_head.weight",
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `llama.*` keys; biases and a separate head are there when their tensors are.

    A stated window is Mistral's, which every layer has.
    """
    config = gguf_config("llama", fields, checkpoint, "interleaved")
    refuse_softcap(fields)
    return replace(config, windows=gguf_windows(fields, config.layers, 0))


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a LlamaConfig."""
    return hf_config(
        "llama",
        fields,
        qkv_bias=fields.flag("attention_bias", False),
        out_bias=fields.flag("attention_bias", False),
        mlp_bias=fields.flag("mlp_bias", False),
    )


FAMILY = Family(
    name="llama",
    hf=("llama", "LlamaForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("llama",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
