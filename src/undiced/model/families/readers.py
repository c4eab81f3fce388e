"""What most families' readers share: the common keys of GGUF metadata and of config.json. Knows no tensor layout."""

from __future__ import annotations

import math
from collections.abc import Collection

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.core.quote import quoted
from undiced.model.config import MAX_DIM, MAX_EXPERTS, MAX_LAYERS, Activation, ModelConfig, MoeConfig, RopeStyle
from undiced.model.families.fields import Fields
from undiced.model.families.rope_fields import rope_by_layer_type, rope_from_gguf, rope_from_hf

ACTIVATION_NAMES: dict[str, Activation] = {  # config.json's spellings
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_IDLE: dict[str, tuple[float | bool, ...]] = {  # keys of GGUF that would change answers, and values that change nothing
    "attention.scale": (0.0,),
    "attention.causal": (True,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "attention.temperature_scale": (0.0,),
    "attention.temperature_length": (0,),
    "attn_logit_softcapping": (0.0,),
    "router_logit_softcapping": (0.0,),
    "logit_scale": (0.0, 1.0),
    "embedding_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "use_parallel_residual": (False,),
    "rope.scaling.alpha": (0.0,),
    "expert_gating_func": (0, 1),
    "expert_weights_norm": (True,),
    "expert_shared_count": (0,),
    "expert_group_count": (0, 1),
}
_WINDOWED = {"sliding_attention": True, "chunked_attention": True, "full_attention": False}


def gguf_config(
    family: str, fields: Fields, checkpoint: Checkpoint, style: RopeStyle, own: Collection[str] = ()
) -> ModelConfig:
    """What most GGUF architectures share: the same keys after their own prefix, the same tensor names.

    Of keys that would change every answer the family reads those of `own` itself.
    """
    tensors = checkpoint.tensors
    layers = fields.integer("block_count", high=MAX_LAYERS)
    dim = fields.integer("embedding_length", high=MAX_DIM)
    heads = fields.integer("attention.head_count", high=MAX_DIM)
    head_dim = gguf_head_dim(fields, dim, heads)
    refuse_unread(fields, head_dim, own)
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
        norm_eps=fields.number("attention.layer_norm_rms_epsilon", high=1.0),
        rope=rope_from_gguf(fields, tensors, head_dim, style),
        tied="output.weight" not in tensors,
        qkv_bias="blk.0.attn_q.bias" in tensors,
        out_bias="blk.0.attn_output.bias" in tensors,
        mlp_bias="blk.0.ffn_up.bias" in tensors,
        moe=_gguf_experts(fields, layers, tensors),
    )


def refuse_unread(fields: Fields, head_dim: int, own: Collection[str] = ()) -> None:
    """Refuses keys that would change every answer and that the family does not read, unless they change nothing."""
    scale = fields.value("attention.scale")
    if isinstance(scale, float) and math.isclose(scale, head_dim**-0.5, rel_tol=1e-5):
        scale = None
    for key, idle in _IDLE.items():
        if key in own:
            continue
        value = scale if key == "attention.scale" else fields.value(key)
        if (
            isinstance(value, (list, tuple))
            and value
            and all(type(v) is type(value[0]) and v == value[0] for v in value)
        ):
            value = value[0]
        if value is not None and (isinstance(value, (list, tuple)) or value not in idle):
            raise UnsupportedError(
                f"{fields.origin}: {key} {quoted(value)} is not supported by the family's reader.",
                remedy="Convert the model under its own architecture; if this is it, use another model.",
            )


def refuse_softcap(fields: Fields) -> None:
    """Refuses capped logits where the family has none."""
    if cap := fields.number("final_logit_softcapping", 0.0):
        raise UnsupportedError(
            f"{fields.origin}: final_logit_softcapping {cap:g} is not supported by the family.",
            remedy="Convert the model under its own architecture; of those supported, gemma2 and gemma3 cap logits.",
        )


def gguf_windows(fields: Fields, layers: int, period: int, default: int = 0) -> tuple[int, ...]:
    """Windows of an architecture that alternates: all layers but every `period`-th have one, `default` when the file
    states none (0: then no layer has one), as llama.cpp takes it.
    """
    window = fields.integer("attention.sliding_window", default, low=0)
    if not window:
        return ()
    key = "attention.sliding_window_pattern"
    if isinstance(fields.value(key), (list, tuple)):
        windowed = [bool(flag) for flag in fields.items(key, bool, layers) or ()]
    else:
        period = fields.integer(key, period, low=0)
        windowed = [period == 0 or layer % period < period - 1 for layer in range(layers)]
    return tuple(window if flag else 0 for flag in windowed)


def no_windows(fields: Fields) -> None:
    """Refuses a window in a file that does not say which layers have it."""
    context = fields.integer("context_length")
    if 0 < fields.integer("attention.sliding_window", 0, low=0) < context:
        raise UnsupportedError(
            f"{fields.origin}: attention.sliding_window is stated, but not for which layers.",
            remedy="Use the model's Hugging Face folder.",
        )


def even_heads(fields: Fields, key: str, dim: int, default: int | None) -> int:
    """Heads that share out `dim` evenly, where no width of one is stated."""
    heads = fields.integer(key, default, high=MAX_DIM)
    if dim % heads:
        raise fields.fail(key, f"is {heads}, which does not divide {dim}")
    return heads


def gguf_head_dim(fields: Fields, dim: int, heads: int) -> int:
    """Width of a head: stated, or dim over heads. Keys and values must agree."""
    if "attention.key_length" not in fields and dim % heads:
        raise fields.fail("attention.head_count", f"is {heads}, which does not divide {dim}")
    head_dim = fields.integer("attention.key_length", dim // heads, high=MAX_DIM)
    if fields.integer("attention.value_length", head_dim, high=MAX_DIM) != head_dim:
        raise UnsupportedError(
            f"{fields.origin}: keys and values of different widths are not supported.",
            remedy="Compare attention.key_length and attention.value_length; if they are right, use another model.",
        )
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
        scaling=fields.number("expert_weights_scale", 0.0) or 1.0,
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
    eps: float = 1e-6,
    context: int = 2048,
    by_layer_type: tuple[float, float] | None = None,
) -> ModelConfig:
    """What most config.json models share; from `head_dim` (0: dim over heads) on the family's defaults.

    `by_layer_type`: rotary bases of layers that attend to everything and of windowed ones, where these have their own.
    """
    dim = fields.integer("hidden_size", high=MAX_DIM)
    heads = fields.integer("num_attention_heads", high=MAX_DIM)
    if "head_dim" not in fields and not head_dim and dim % heads:
        raise fields.fail("num_attention_heads", f"is {heads}, which does not divide {dim}")
    head_dim = fields.integer("head_dim", head_dim or dim // heads, high=MAX_DIM)
    context = fields.integer("max_position_embeddings", context)
    if by_layer_type is None:
        rope = rope_from_hf(fields, head_dim, context, theta)
    else:
        rope = rope_by_layer_type(fields, head_dim, context, *by_layer_type)
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
        norm_eps=fields.number("rms_norm_eps", eps, high=1.0),
        rope=rope,
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


def hf_window(fields: Fields, default: int, key: str = "sliding_window") -> int:
    """A stated window, 0 where null says that there is none, else the default of the family's configuration."""
    return 0 if key not in fields and fields.stated(key) else fields.integer(key, default)


def hf_windows(fields: Fields, layers: int, window: int, otherwise: list[bool]) -> tuple[int, ...]:
    """Windows by layer: from `layer_types` when stated, else `window` where `otherwise` is true; () when none."""
    kinds = fields.items("layer_types", str, layers)
    if kinds is None:
        windowed = otherwise
    else:
        unknown = [kind for kind in kinds if kind not in _WINDOWED]
        if unknown:
            raise UnsupportedError(
                f"{fields.origin}: layers of type {str(unknown[0])[:40]!r} are not supported.",
                remedy=f"Known in layer_types: {', '.join(_WINDOWED)}.",
            )
        windowed = [_WINDOWED[str(kind)] for kind in kinds]
    if window == 0 or not any(windowed):
        return ()
    return tuple(window if w else 0 for w in windowed)
