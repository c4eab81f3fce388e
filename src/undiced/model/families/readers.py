"""What most families' readers share: the common keys of GGUF metadata and of config.json. Knows no tensor layout."""

from __future__ import annotations

from collections.abc import Collection

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.model.config import MAX_DIM, MAX_EXPERTS, MAX_LAYERS, Activation, ModelConfig, MoeConfig, RopeStyle
from undiced.model.families.fields import Fields
from undiced.model.families.rope_fields import rope_from_gguf, rope_from_hf

ACTIVATION_NAMES: dict[str, Activation] = {  # config.json's spellings
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_WINDOWED = {"sliding_attention": True, "chunked_attention": True, "full_attention": False}


def gguf_config(family: str, fields: Fields, checkpoint: Checkpoint, style: RopeStyle) -> ModelConfig:
    """What most GGUF architectures share: the same keys after their own prefix, the same tensor names."""
    tensors = checkpoint.tensors
    layers = fields.integer("block_count", high=MAX_LAYERS)
    dim = fields.integer("embedding_length", high=MAX_DIM)
    heads = fields.integer("attention.head_count", high=MAX_DIM)
    head_dim = gguf_head_dim(fields, dim, heads)
    window = fields.integer("attention.sliding_window", 0, low=0)
    return ModelConfig(
        family=family,
        name=checkpoint.name,
        layers=layers,
        dim=dim,
        heads=heads,
        kv_heads=fields.integer("attention.head_count_kv", heads, high=MAX_DIM),
        head_dim=head_dim,
        ffn=fields.integer("feed_forward_length", high=MAX_DIM),
        vocab=gguf_vocab(fields, checkpoint),
        context=fields.integer("context_length"),
        norm_eps=fields.number("attention.layer_norm_rms_epsilon", 1e-5, high=1.0),
        rope=rope_from_gguf(fields, tensors, head_dim, style),
        tied="output.weight" not in tensors,
        windows=(window,) * layers if window else (),
        qkv_bias="blk.0.attn_q.bias" in tensors,
        out_bias="blk.0.attn_output.bias" in tensors,
        mlp_bias="blk.0.ffn_up.bias" in tensors,
        moe=_gguf_experts(fields, layers, tensors),
    )


def gguf_head_dim(fields: Fields, dim: int, heads: int) -> int:
    """Width of a head: stated, or dim over heads. Keys and values must agree."""
    if "attention.key_length" not in fields and dim % heads:
        raise fields.fail("attention.head_count", f"is {heads}, which does not divide {dim}")
    head_dim = fields.integer("attention.key_length", dim // heads, high=MAX_DIM)
    if fields.integer("attention.value_length", head_dim, high=MAX_DIM) != head_dim:
        raise UnsupportedError(f"{fields.origin}: keys and values of different widths are not supported.")
    return head_dim


def gguf_vocab(fields: Fields, checkpoint: Checkpoint) -> int:
    """Rows of the embedding table."""
    table = checkpoint.tensors.get("token_embd.weight")
    if table is None or len(table.shape) != 2:
        raise fields.fail("vocab_size", "cannot be told: tensor token_embd.weight is missing or no matrix")
    return table.shape[0]


def _gguf_experts(fields: Fields, layers: int, tensors: Collection[str]) -> MoeConfig | None:
    """A mixture in the layers that have a router."""
    experts = fields.integer("expert_count", 0, low=0, high=MAX_EXPERTS)
    if not experts:
        return None
    dense = fields.integer("feed_forward_length", high=MAX_DIM)
    return MoeConfig(
        experts=experts,
        top_k=fields.integer("expert_used_count", high=experts),
        ffn=fields.integer("expert_feed_forward_length", dense, high=MAX_DIM),
        layers=tuple(layer for layer in range(layers) if f"blk.{layer}.ffn_gate_inp.weight" in tensors),
    )


def hf_config(
    family: str,
    fields: Fields,
    *,
    qkv_bias: bool = False,
    out_bias: bool = False,
    mlp_bias: bool = False,
    head_dim: int = 0,
    theta: float = 10000.0,
) -> ModelConfig:
    """What most config.json models share; `head_dim` and `theta` are the family's defaults (0: dim over heads)."""
    dim = fields.integer("hidden_size", high=MAX_DIM)
    heads = fields.integer("num_attention_heads", high=MAX_DIM)
    if "head_dim" not in fields and not head_dim and dim % heads:
        raise fields.fail("num_attention_heads", f"is {heads}, which does not divide {dim}")
    head_dim = fields.integer("head_dim", head_dim or dim // heads, high=MAX_DIM)
    context = fields.integer("max_position_embeddings", 2048)
    return ModelConfig(
        family=family,
        name=fields.origin,
        layers=fields.integer("num_hidden_layers", high=MAX_LAYERS),
        dim=dim,
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads", heads, high=MAX_DIM),
        head_dim=head_dim,
        ffn=fields.integer("intermediate_size", high=MAX_DIM),
        vocab=fields.integer("vocab_size"),
        context=context,
        norm_eps=fields.number("rms_norm_eps", 1e-6, high=1.0),
        rope=rope_from_hf(fields, head_dim, context, theta),
        tied=fields.flag("tie_word_embeddings", False),
        activation=hf_activation(fields, "hidden_act", "silu"),
        qkv_bias=qkv_bias,
        out_bias=out_bias,
        mlp_bias=mlp_bias,
    )


def hf_activation(fields: Fields, key: str, default: str) -> Activation:
    """The activation that config.json names under `key`."""
    name = fields.text(key, default)
    if name not in ACTIVATION_NAMES:
        raise UnsupportedError(
            f"{fields.origin}: activation {name[:40]!r} is not supported.",
            remedy=f"Known: {', '.join(ACTIVATION_NAMES)}.",
        )
    return ACTIVATION_NAMES[name]


def hf_windows(fields: Fields, layers: int, window: int, otherwise: list[bool]) -> tuple[int, ...]:
    """Windows by layer: from `layer_types` when stated, else `window` where `otherwise` is true; () when none."""
    kinds = fields.items("layer_types", str, layers)
    if kinds is None:
        windowed = otherwise
    else:
        unknown = [kind for kind in kinds if kind not in _WINDOWED]
        if unknown:
            raise UnsupportedError(f"{fields.origin}: layers of type {str(unknown[0])[:40]!r} are not supported.")
        windowed = [_WINDOWED[str(kind)] for kind in kinds]
    if window == 0 or not any(windowed):
        return ()
    return tuple(window if w else 0 for w in windowed)
