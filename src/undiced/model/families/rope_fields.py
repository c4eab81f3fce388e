"""Reading rotary position settings from GGUF keys and from config.json, old and new spellings alike."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

from undiced.core.errors import UnsupportedError
from undiced.model.config import MAX_CONTEXT, RopeConfig, RopeStyle
from undiced.model.families.fields import Fields

_DEFAULT_THETA = 10000.0  # published: the original RoFormer base, the default of both file formats
_SUPPORTED = "none, linear, llama3, yarn, longrope"


LONG_FACTORS, SHORT_FACTORS = "rope_factors_long.weight", "rope_factors_short.weight"  # of GGUF files


def yarn_magnitude(factor: float, weight: float = 1.0) -> float:
    """YaRN's growth of attention with the stretch of the context (arXiv 2309.00071, section 3.4)."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def rope_from_gguf(fields: Fields, tensors: Collection[str], head_dim: int, style: RopeStyle) -> RopeConfig:
    """Rotary settings of a GGUF file whose keys `fields` reads without the architecture's prefix.

    As llama.cpp takes them: a factor without a type is linear, and YaRN's trained context is the model's where no other
    is stated.
    """
    rope = RopeConfig(
        theta=fields.number("rope.freq_base", _DEFAULT_THETA),
        dims=fields.integer("rope.dimension_count", head_dim),
        style=style,
        factors="rope_freqs.weight" in tensors,
        attention_factor=fields.number("rope.scaling.attn_factor", 1.0),
    )
    kind = fields.text("rope.scaling.type", "linear")
    factor = fields.number("rope.scaling.factor", fields.number("rope.scale_linear", 0.0)) or 1.0
    if kind == "longrope" and LONG_FACTORS in tensors:  # the family reads the factors
        return rope
    if kind not in ("none", "linear", "yarn"):
        raise UnsupportedError(
            f"{fields.origin}: rope scaling {kind[:40]!r} is not supported.",
            remedy="Known: none, linear, yarn; in phi3 longrope.",
        )
    if kind == "none" or factor == 1.0:
        return rope
    if kind == "yarn" and _extrapolates(fields):
        return _yarn_from_gguf(fields, rope, factor)
    return replace(rope, scaling="linear", factor=factor)


def _extrapolates(fields: Fields) -> bool:
    """YaRN's share of extrapolation: 1 unless stated, and 0 makes its positions linear."""
    share = fields.number("rope.scaling.yarn_ext_factor", -1.0, low=-1e12)
    if share > 0.0 and share != 1.0:
        raise UnsupportedError(
            f"{fields.origin}: rope.scaling.yarn_ext_factor {share:g} is not supported.", remedy="Known: 0 and 1."
        )
    return share != 0.0


def _yarn_from_gguf(fields: Fields, rope: RopeConfig, factor: float) -> RopeConfig:
    if (other := fields.number("rope.scaling.yarn_attn_factor", 1.0)) != 1.0:
        raise UnsupportedError(
            f"{fields.origin}: rope.scaling.yarn_attn_factor {other:g} is not supported.",
            remedy="Readers differ in what it means; convert the model with rope.scaling.attn_factor.",
        )
    weight = fields.number("rope.scaling.yarn_log_multiplier", 0.0)
    growth = yarn_magnitude(factor) / (yarn_magnitude(factor, weight) if weight else 1.0)
    return replace(
        rope,
        scaling="yarn",
        factor=factor,
        original_context=fields.integer(
            "rope.scaling.original_context_length", fields.integer("context_length", high=MAX_CONTEXT)
        ),
        beta_fast=fields.number("rope.scaling.yarn_beta_fast", 32.0),
        beta_slow=fields.number("rope.scaling.yarn_beta_slow", 1.0),
        attention_factor=rope.attention_factor * growth,
    )


def rope_from_hf(fields: Fields, head_dim: int, context: int, theta: float = _DEFAULT_THETA) -> RopeConfig:
    """Rotary settings of a config.json: `rope_scaling`, else `rope_parameters`; `rope_theta` is in it or beside it."""
    return read_rope(stated_rope(fields) or Fields({}, fields.origin), fields, head_dim, context, theta)


def stated_rope(fields: Fields) -> Fields | None:
    """The object of rotary settings, or None where there is none or an empty one."""
    for key in ("rope_scaling", "rope_parameters"):
        inner = fields.inner(key)
        if inner is not None and len(inner):
            return inner
    return None


def read_rope(
    inner: Fields, outer: Fields, head_dim: int, context: int, theta: float, share: float = 1.0
) -> RopeConfig:
    """Rotary settings of one object `inner`; keys it lacks are looked up in `outer`, else the share of a head's columns
    that rotates is `share`.
    """
    share = inner.number("partial_rotary_factor", outer.number("partial_rotary_factor", share), high=1.0)
    rope = RopeConfig(
        theta=inner.number("rope_theta", outer.number("rope_theta", theta)),
        dims=int(head_dim * share),
    )
    if layers := inner.objects():
        raise UnsupportedError(
            f"{outer.origin}: rotary settings of their own for layers of type {layers[0][:40]!r} are not supported.",
            remedy="Known: one set of settings for all layers; in gemma3 and olmo3 one for each type of layer.",
        )
    kind = inner.text("rope_type", inner.text("type", ""))
    if kind == "" and inner.number("factor", 1.0) != 1.0:
        raise inner.fail("rope_type", "is missing beside a factor, expected one of linear, llama3, yarn")
    if kind in ("", "default"):
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
    if kind in ("longrope", "su"):  # one rule, "su" is its first name
        return _longrope(rope, inner, outer, context)
    raise UnsupportedError(
        f"{outer.origin}: rope scaling {kind[:40]!r} is not supported.", remedy=f"Known: {_SUPPORTED}."
    )


def rope_by_layer_type(fields: Fields, head_dim: int, context: int, theta: float, local: float) -> RopeConfig:
    """Rotary settings where windowed layers have a base of their own (`local` unless stated) and are never scaled.

    New files state one object a layer type; old ones one object of scaling, which is that of the other layers.
    """
    nested = fields.inner("rope_parameters")
    if nested is not None and "full_attention" in nested:
        full, windowed = nested.inner("full_attention"), nested.inner("sliding_attention")
        assert full is not None, "it is in there"
        if windowed is not None and windowed.text("rope_type", "default") != "default":
            raise UnsupportedError(
                f"{fields.origin}: scaled rotation of windowed layers is not supported.",
                remedy="Known for rope_parameters.sliding_attention: the rope_type default.",
            )
        base = windowed.number("rope_theta", local) if windowed is not None else local
        return replace(read_rope(full, fields, head_dim, context, theta), local_theta=base)
    if nested is not None and len(nested):
        raise nested.fail("full_attention", "is missing, expected the rotary settings of these layers")
    scaling = fields.inner("rope_scaling") or Fields({}, fields.origin)
    return replace(read_rope(scaling, fields, head_dim, context, theta), local_theta=local)


def _longrope(rope: RopeConfig, inner: Fields, outer: Fields, context: int) -> RopeConfig:
    original = _original_context(inner, outer, context)
    factor = inner.number("factor", context / original)
    growth = math.sqrt(1.0 + math.log(factor) / math.log(max(original, 2))) if factor > 1 else 1.0
    return replace(
        rope,
        scaling="longrope",
        factor=factor,
        original_context=original,
        attention_factor=inner.number("attention_factor", growth),
        short_factors=inner.numbers("short_factor", rope.dims // 2),
        long_factors=inner.numbers("long_factor", rope.dims // 2),
    )


def _original_context(inner: Fields, outer: Fields, context: int) -> int:
    inside = inner.integer("original_max_position_embeddings", 0, low=0)
    return outer.integer("original_max_position_embeddings", inside or context)


def _yarn(rope: RopeConfig, inner: Fields, outer: Fields, context: int) -> RopeConfig:
    original = _original_context(inner, outer, context)
    factor = inner.number("factor", context / original if original != context else None)
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
