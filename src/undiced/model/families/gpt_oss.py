"""gpt-oss: attention with sinks and biases, alternately windowed, and experts with biases and a clamped gate.

Hugging Face stores experts with gate and up interleaved: as outputs x inputs in blocks of MXFP4, as published, or
dense and turned. GGUF stores three stacks, as MXFP4 in the published files. Sources: GptOssConfig of Hugging Face; the
gpt-oss model card; the GGUF specification's tensor names.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.core.errors import UnsupportedError
from undiced.core.manifest import Transform
from undiced.model.config import MAX_EXPERTS, SWIGLU_OSS_ALPHA, ModelConfig, MoeConfig
from undiced.model.families import llama
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.naming import TRANSPOSE, Name, Naming, Steps, always
from undiced.model.families.readers import gguf_config, gguf_windows, hf_config, hf_window, hf_windows, refuse_softcap
from undiced.model.families.rope_fields import read_rope, stated_rope

LIMIT = 7.0  # published: clamp of gate and up
WINDOW = 128  # published: every other layer, from the first on
ROPE = {  # published: the rotary settings of a GptOssConfig that states none
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}

GGUF_NAMES: Naming = {
    **llama.GGUF_NAMES,
    "attn.sinks": "blk.{i}.attn_sinks.weight",
    "ffn.norm": "blk.{i}.post_attention_norm.weight",
    "moe.router.bias": "blk.{i}.ffn_gate_inp.bias",
    "moe.gate.bias": "blk.{i}.ffn_gate_exps.bias",
    "moe.up.bias": "blk.{i}.ffn_up_exps.bias",
    "moe.down.bias": "blk.{i}.ffn_down_exps.bias",
}


def _moe(config: ModelConfig) -> MoeConfig:
    assert config.moe is not None, "the family is a mixture"
    return config.moe


def _interleaved(start: int) -> Steps:
    """One expert's gate (0) or up (1): its rows, turned, every other one."""

    def steps(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
        return (Transform("split", expert * config.dim, config.dim), TRANSPOSE, Transform("every", start, 2))

    return steps


def _down(config: ModelConfig, expert: int) -> tuple[Transform, ...]:
    ffn = _moe(config).ffn
    return (Transform("split", expert * ffn, ffn), TRANSPOSE)


def _gate_up(start: int) -> Name:
    return Name(
        "{p}layers.{i}.mlp.experts.gate_up_proj",
        _interleaved(start),
        lambda c: (_moe(c).experts, c.dim, 2 * _moe(c).ffn),
        each_expert=True,
        otherwise=Name(
            "{p}layers.{i}.mlp.experts.gate_up_proj_blocks",
            always(Transform("every", start, 2)),
            lambda c: (_moe(c).experts, 2 * _moe(c).ffn, c.dim),
        ),
    )


def _gate_up_bias(start: int) -> Name:
    return Name(
        "{p}layers.{i}.mlp.experts.gate_up_proj_bias",
        always(Transform("every", start, 2)),
        lambda c: (_moe(c).experts, 2 * _moe(c).ffn),
    )


HF_NAMES: Naming = {
    **llama.HF_NAMES,
    "attn.sinks": "{p}layers.{i}.self_attn.sinks",
    "moe.router": "{p}layers.{i}.mlp.router.weight",
    "moe.router.bias": "{p}layers.{i}.mlp.router.bias",
    "moe.gate": _gate_up(0),
    "moe.up": _gate_up(1),
    "moe.down": Name(
        "{p}layers.{i}.mlp.experts.down_proj",
        _down,
        lambda c: (_moe(c).experts, _moe(c).ffn, c.dim),
        each_expert=True,
        otherwise=Name(
            "{p}layers.{i}.mlp.experts.down_proj_blocks",
            shape=lambda c: (_moe(c).experts, c.dim, _moe(c).ffn),
        ),
    ),
    "moe.gate.bias": _gate_up_bias(0),
    "moe.up.bias": _gate_up_bias(1),
    "moe.down.bias": "{p}layers.{i}.mlp.experts.down_proj_bias",
}


def read_gguf(fields: Fields, checkpoint: Checkpoint) -> ModelConfig:
    """Configuration from `gpt-oss.*` keys, which tell neither the windows' pattern, the clamp nor YaRN's rounding."""
    config = gguf_config("gpt_oss", fields, checkpoint, "half")
    if config.moe is None or config.rope is None:
        raise fields.fail("expert_count", "is missing, expected the number of experts")
    fields.integer("attention.sliding_window")
    windows = gguf_windows(fields, config.layers, 2)
    refuse_softcap(fields)
    if fields.number("rope.freq_base_swa", config.rope.theta) != config.rope.theta:
        raise UnsupportedError(
            f"{fields.origin}: rope.freq_base_swa is not supported by the family.",
            remedy="Known: the value of rope.freq_base, as in gpt-oss; use one of its published files.",
        )
    rounded = replace(config, rope=replace(config.rope, truncate=False))
    return _completed(rounded, windows, config.moe, LIMIT)


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a GptOssConfig."""
    if fields.number("swiglu_alpha", SWIGLU_OSS_ALPHA) != SWIGLU_OSS_ALPHA:
        raise UnsupportedError(
            f"{fields.origin}: a swiglu_alpha other than {SWIGLU_OSS_ALPHA} is not supported.",
            remedy="Use gpt-oss as it was published; its config.json leaves swiglu_alpha out.",
        )
    bias = fields.flag("attention_bias", True)
    config = hf_config(
        "gpt_oss", fields, qkv_bias=bias, out_bias=bias, head_dim=64, theta=150000.0, eps=1e-5, context=131072
    )
    if stated_rope(fields) is None:
        config = replace(config, rope=read_rope(Fields(ROPE, fields.origin), fields, config.head_dim, 0, 150000.0))
    window = hf_window(fields, WINDOW)
    alternate = [layer % 2 == 0 for layer in range(config.layers)]
    experts = fields.integer("num_local_experts", 128, high=MAX_EXPERTS)
    moe = MoeConfig(
        experts=experts,
        top_k=fields.integer("num_experts_per_tok", 4, high=experts),
        ffn=config.ffn,
        layers=tuple(range(config.layers)),
    )
    windows = hf_windows(fields, config.layers, window, alternate)
    return _completed(config, windows, moe, fields.number("swiglu_limit", LIMIT))


def _completed(config: ModelConfig, windows: tuple[int, ...], moe: MoeConfig, limit: float) -> ModelConfig:
    """What every gpt-oss model has."""
    full = replace(moe, router_bias=True, expert_bias=True, limit=limit)
    return replace(config, windows=windows, sinks=True, activation="swiglu_oss", moe=full)


FAMILY = Family(
    name="gpt_oss",
    hf=("gpt_oss", "GptOssForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=("gpt-oss",),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
