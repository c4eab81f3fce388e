"""GPT-2: norms with means and biases, learned positions, one fused matrix for q, k and v, no gate.

Hugging Face stores matrices as inputs x outputs (Conv1D), GGUF as outputs x inputs. Sources: GPT2Config of Hugging
Face; the GGUF specification's tensor names.
"""

from __future__ import annotations

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.core.manifest import Transform
from undiced.model.config import MAX_DIM, MAX_LAYERS, ModelConfig
from undiced.model.families.family import IGNORED, Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import TRANSPOSE, Name, Naming, Steps, always
from undiced.model.families.readers import even_heads, gguf_vocab, hf_activation

_PLAIN = "Use a GPT-2 with the usual attention: scale_attn_weights true, the switches beside it false."


def _third(index: int, *before: Transform) -> Steps:
    """The rows of q (0), k (1) or v (2) in the fused matrix or bias."""
    return lambda config, expert: (*before, Transform("split", index * config.dim, config.dim))


def _fused_gguf(index: int) -> Name:
    return Name("blk.{i}.attn_qkv.weight", _third(index), lambda c: (3 * c.dim, c.dim))


def _fused_hf(index: int) -> Name:
    return Name("{p}h.{i}.attn.c_attn.weight", _third(index, TRANSPOSE), lambda c: (c.dim, 3 * c.dim))


def _fused_bias(tensor: str, index: int) -> Name:
    return Name(tensor, _third(index), lambda c: (3 * c.dim,))


def _conv1d(tensor: str) -> Name:
    return Name(tensor, always(TRANSPOSE))


GGUF_NAMES: Naming = {
    "embed": "token_embd.weight",
    "position_embed": "position_embd.weight",
    "attn.norm": "blk.{i}.attn_norm.weight",
    "attn.norm.bias": "blk.{i}.attn_norm.bias",
    "attn.q": _fused_gguf(0),
    "attn.k": _fused_gguf(1),
    "attn.v": _fused_gguf(2),
    "attn.q.bias": _fused_bias("blk.{i}.attn_qkv.bias", 0),
    "attn.k.bias": _fused_bias("blk.{i}.attn_qkv.bias", 1),
    "attn.v.bias": _fused_bias("blk.{i}.attn_qkv.bias", 2),
    "attn.o": "blk.{i}.attn_output.weight",
    "attn.o.bias": "blk.{i}.attn_output.bias",
    "ffn.norm": "blk.{i}.ffn_norm.weight",
    "ffn.norm.bias": "blk.{i}.ffn_norm.bias",
    "ffn.up": "blk.{i}.ffn_up.weight",
    "ffn.up.bias": "blk.{i}.ffn_up.bias",
    "ffn.down": "blk.{i}.ffn_down.weight",
    "ffn.down.bias": "blk.{i}.ffn_down.bias",
    "final_norm": "output_norm.weight",
    "final_norm.bias": "output_norm.bias",
    "lm_head": "output.weight",
}
HF_NAMES: Naming = {
    "embed": "{p}wte.weight",
    "position_embed": "{p}wpe.weight",
    "attn.norm": "{p}h.{i}.ln_1.weight",
    "attn.norm.bias": "{p}h.{i}.ln_1.bias",
    "attn.q": _fused_hf(0),
    "attn.k": _fused_hf(1),
    "attn.v": _fused_hf(2),
    "attn.q.bias": _fused_bias("{p}h.{i}.attn.c_attn.bias", 0),
    "attn.k.bias": _fused_bias("{p}h.{i}.attn.c_attn.bias", 1),
    "attn.v.bias": _fused_bias("{p}h.{i}.attn.c_attn.bias", 2),
    "attn.o": _conv1d("{p}h.{i}.attn.c_proj.weight"),
    "attn.o.bias": "{p}h.{i}.attn.c_proj.bias",
    "ffn.norm": "{p}h.{i}.ln_2.weight",
    "ffn.norm.bias": "{p}h.{i}.ln_2.bias",
    "ffn.up": _conv1d("{p}h.{i}.mlp.c_fc.weight"),
    "ffn.up.bias": "{p}h.{i}.mlp.c_fc.bias",
    "ffn.down": _conv1d("{p}h.{i}.mlp.c_proj.weight"),
    "ffn.down.bias": "{p}h.{i}.mlp.c_proj.bias",
    "final_norm": "{p}ln_f.weight",
    "final_norm.bias": "{p}ln_f.bias",
    "lm_head": "lm_head.weight",
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `gpt2.*` keys."""
    dim = fields.integer("embedding_length", high=MAX_DIM)
    return _config(
        name=checkpoint.name,
        layers=fields.integer("block_count", high=MAX_LAYERS),
        dim=dim,
        heads=even_heads(fields, "attention.head_count", dim, None),
        ffn=fields.integer("feed_forward_length", 4 * dim, high=MAX_DIM),
        vocab=gguf_vocab(fields, checkpoint),
        context=fields.integer("context_length"),
        norm_eps=fields.number("attention.layer_norm_epsilon", high=1.0),
        tied="output.weight" not in checkpoint.tensors,
    )


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a GPT2Config; its experiments with attention's scale are refused."""
    for switch in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        if fields.flag(switch, False):
            raise UnsupportedError(f"{fields.origin}: {switch} is not supported.", remedy=_PLAIN)
    if not fields.flag("scale_attn_weights", True):
        raise UnsupportedError(f"{fields.origin}: unscaled attention is not supported.", remedy=_PLAIN)
    if hf_activation(fields, "activation_function", "gelu_new") != "gelu_tanh":
        raise UnsupportedError(
            f"{fields.origin}: GPT-2 with another activation than gelu_new is not supported.",
            remedy="Known: gelu_new and gelu_pytorch_tanh, its other name.",
        )
    dim = fields.integer("n_embd", 768, high=MAX_DIM)
    return _config(
        name=fields.origin,
        layers=fields.integer("n_layer", 12, high=MAX_LAYERS),
        dim=dim,
        heads=even_heads(fields, "n_head", dim, 12),
        ffn=fields.integer("n_inner", 4 * dim, high=MAX_DIM),
        vocab=fields.integer("vocab_size", 50257),
        context=fields.integer("n_positions", 1024),
        norm_eps=fields.number("layer_norm_epsilon", 1e-5, high=1.0),
        tied=fields.flag("tie_word_embeddings", True),
    )


def _config(
    *,
    name: str,
    layers: int,
    dim: int,
    heads: int,
    ffn: int,
    vocab: int,
    context: int,
    norm_eps: float,
    tied: bool,
) -> ModelConfig:
    return ModelConfig(
        family="gpt2",
        name=name,
        layers=layers,
        dim=dim,
        heads=heads,
        kv_heads=heads,
        head_dim=dim // heads,
        ffn=ffn,
        vocab=vocab,
        context=context,
        norm_eps=norm_eps,
        rope=None,
        norm="layer",
        activation="gelu_tanh",
        gated=False,
        tied=tied,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        learned_positions=True,
    )


FAMILY = Family(
    name="gpt2",
    hf=("gpt2", "GPT2LMHeadModel"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("gpt2",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
    prefixes=(("transformer.", ""), ("", "")),
    ignored=(*IGNORED, "*.attn.bias"),
)
