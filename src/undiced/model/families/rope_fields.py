"""Reading rotary position settings from GGUF keys and from config.json, old and new spellings alike."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

from undiced.core.errors import UnsupportedError
from undiced.model.config import RopeConfig, RopeStyle
from undiced.model.families.fields import Fields

_DEFAULT_THETA = 10000.0  # published: the original RoFormer base, the default of both file formats
_SUPPORTED = "none, linear, llama3, yarn"


def yarn_magnitude(factor: float, weight: float = 1.0) -> float:
    """YaRN's growth of attention with the stretch of the context (arXiv 2309.00071, section 3.4)."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def rope_from_gguf(fields: Fields, tensors: Collection[str], head_dim: int, style: RopeStyle) -> RopeConfig:
    """Rotary settings of a GGUF file whose keys `fields` reads without the architecture's prefix."""
    rope = RopeConfig(
        theta=fields.number("rope.freq_base", _DEFAULT_THETA),
        dims=fields.integer("rope.dimension_count", head_dim),
        style=style,
        factors="rope_freqs.weight" in tensors,
    )
    kind = fields.text("rope.scaling.type", "linear" if "rope.scale_linear" in fields else "none")
    factor = fields.number("rope.scaling.factor", fields.number("rope.scale_linear", 1.0))
    if kind == "none" or factor in (0.0, 1.0):
        return rope
    if kind == "linear":
        return replace(rope, scaling="linear", factor=factor)
    if kind == "yarn":
        return replace(
            rope,
            scaling="yarn",
            factor=factor,
            original_context=fields.integer("rope.scaling.original_context_length"),
            beta_fast=fields.number("rope.scaling.yarn_beta_fast", 32.0),
            beta_slow=fields.number("rope.scaling.yarn_beta_slow", 1.0),
            attention_factor=fields.number("rope.scaling.attn_factor", 1.0) * yarn_magnitude(factor),
        )
    raise UnsupportedError(f"{fields.origin}: rope scaling {kind!r} is not supported.", remedy=f"Known: {_SUPPORTED}.")


def rope_from_hf(fields: Fields, head_dim: int, context: int, theta: float = _DEFAULT_THETA) -> RopeConfig:
    """Rotary settings of a config.json: `rope_parameters`, or `rope_theta` beside `rope_scaling`."""
    inner = fields.inner("rope_parameters") or fields.inner("rope_scaling") or Fields({}, fields.origin)
    return read_rope(inner, fields, head_dim, context, theta)


def read_rope(inner: Fields, outer: Fields, head_dim: int, context: int, theta: float) -> RopeConfig:
    """Rotary settings of one object `inner`; keys it lacks are looked up in `outer`."""
    share = inner.number("partial_rotary_factor", outer.number("partial_rotary_factor", 1.0), high=1.0)
    rope = RopeConfig(
        theta=inner.number("rope_theta", outer.number("rope_theta", theta)),
        dims=int(head_dim * share),
    )
    kind = inner.text("rope_type", inner.text("type", "default"))
    if kind == "default":
        return rope
    if kind == "linear":
        return replace(rope, scaling="linear", factor=inner.number("factor"))
    if kind == "llama3":
        return replace(
            rope,
            scaling="llama3",
            factor=inner.number("factor"),
            low_freq_factor=inner.number("low_freq_factor"),
            high_freq_factor=inner.number("high_freq_factor"),
            original_context=inner.integer("original_max_position_embeddings"),
        )
    if kind == "yarn":
        return _yarn(rope, inner, outer, context)
    raise UnsupportedError(f"{outer.origin}: rope scaling {kind!r} is not supported.", remedy=f"Known: {_SUPPORTED}.")


def _yarn(rope: RopeConfig, inner: Fields, outer: Fields, context: int) -> RopeConfig:
    missing = outer.integer("original_max_position_embeddings", context)
    original = inner.integer("original_max_position_embeddings", missing)
    factor = inner.number("factor", context / original)
    mscale, all_dim = inner.number("mscale", 0.0), inner.number("mscale_all_dim", 0.0)
    ratio = yarn_magnitude(factor, mscale) / yarn_magnitude(factor, all_dim) if mscale and all_dim else None
    return replace(
        rope,
        scaling="yarn",
        factor=factor,
        original_context=original,
        beta_fast=inner.number("beta_fast", 0.0) or 32.0,
        beta_slow=inner.number("beta_slow", 0.0) or 1.0,
        truncate=inner.flag("truncate", True),
        attention_factor=inner.number("attention_factor", ratio or yarn_magnitude(factor)),
    )
