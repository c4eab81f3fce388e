"""Phi-3 and Phi-4: llama's shape with q, k and v in one matrix and gate and up in another, and rotations that change
with the longest sequence.

Both file formats stack the matrices alike. A window is every layer's. Sources: Phi3Config of Hugging Face; the GGUF
specification's tensor names; LongRoPE (arXiv 2402.13753).
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.core.manifest import Transform
from undiced.model.config import MAX_CONTEXT, ModelConfig, RopeConfig
from undiced.model.families import llama
from undiced.model.families.family import IGNORED, Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Name, Naming, Steps
from undiced.model.families.readers import gguf_config, gguf_windows, hf_config, hf_window, hf_windows, refuse_softcap
from undiced.model.families.rope_fields import LONG_FACTORS, SHORT_FACTORS

CONTEXT = 4096  # published: the default of Phi3Config


def _qkv_rows(index: int) -> Steps:
    """The rows of q (0), k (1) or v (2) in the one matrix."""

    def steps(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
        q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
        return (Transform("split", (0, q, q + kv)[index], (q, kv, kv)[index]),)

    return steps


def _qkv(tensor: str, index: int) -> Name:
    return Name(tensor, _qkv_rows(index), lambda c: ((c.heads + 2 * c.kv_heads) * c.head_dim, c.dim))


def _gate_up(tensor: str, index: int) -> Name:
    """The first half is the gate (0), the second is up (1)."""
    return Name(tensor, lambda c, expert: (Transform("split", index * c.ffn, c.ffn),), lambda c: (2 * c.ffn, c.dim))


def _fused(names: Naming, qkv: str, gate_up: str) -> Naming:
    return {
        **{role: name for role, name in names.items() if not role.endswith(".bias")},
        **{f"attn.{role}": _qkv(qkv, index) for index, role in enumerate("qkv")},
        **{f"ffn.{role}": _gate_up(gate_up, index) for index, role in enumerate(("gate", "up"))},
    }


GGUF_NAMES: Naming = _fused(llama.GGUF_NAMES, "blk.{i}.attn_qkv.weight", "blk.{i}.ffn_up.weight")
HF_NAMES: Naming = _fused(
    llama.HF_NAMES, "{p}layers.{i}.self_attn.qkv_proj.weight", "{p}layers.{i}.mlp.gate_up_proj.weight"
)


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `phi3.*` keys; factors of frequencies are tensors."""
    config = gguf_config("phi3", fields, checkpoint, "half")
    refuse_softcap(fields)
    assert config.rope is not None, "gguf_config reads a rope"
    rope = _with_factors(config.rope, fields, checkpoint)
    return replace(config, rope=rope, windows=_short(gguf_windows(fields, config.layers, 0), config.context))


def _with_factors(rope: RopeConfig, fields: Fields, checkpoint: Checkpoint) -> RopeConfig:
    present = [name in checkpoint.tensors for name in (SHORT_FACTORS, LONG_FACTORS)]
    if not any(present):
        return rope
    if not all(present) or rope.scaling != "none":
        raise UnsupportedError(
            f"{fields.origin}: {SHORT_FACTORS} and {LONG_FACTORS} make sense together and with no other rope scaling.",
            remedy="Convert the model anew.",
        )
    short, long = (_vector(checkpoint, name) for name in (SHORT_FACTORS, LONG_FACTORS))
    original = fields.integer(
        "rope.scaling.original_context_length", fields.integer("context_length"), high=MAX_CONTEXT
    )
    return replace(rope, scaling="longrope", original_context=original, short_factors=short, long_factors=long)


def _vector(checkpoint: Checkpoint, name: str) -> tuple[float, ...]:
    from undiced.checkpoint.decode import to_float  # brings numpy

    return tuple(map(float, to_float(checkpoint.tensors[name], checkpoint.raw(name)).reshape(-1)))


def _short(windows: tuple[int, ...], context: int) -> tuple[int, ...]:
    """None where they are as long as the context, as some of the published files say it."""
    return windows if any(0 < window < context for window in windows) else ()


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a Phi3Config."""
    config = hf_config("phi3", fields, eps=1e-5, context=CONTEXT)
    assert config.rope is not None, "hf_config reads a rope"
    if config.rope.scaling not in ("none", "longrope"):
        raise UnsupportedError(
            f"{fields.origin}: rope scaling {config.rope.scaling!r} is not supported by the family.",
            remedy="Known: default and longrope, as in Phi-3 and Phi-4; fetch the model's newest revision.",
        )
    windows = hf_windows(fields, config.layers, hf_window(fields, 0), [True] * config.layers)
    return replace(config, windows=_short(windows, config.context))


FAMILY = Family(
    name="phi3",
    hf=("phi3", "Phi3ForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("phi3",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
    ignored=(*IGNORED, SHORT_FACTORS, LONG_FACTORS),
)
