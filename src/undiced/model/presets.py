"""A catalog of models by their published dimensions: what to compile and simulate without any weights.

Source of every row: the config.json that its publisher distributes with the weights (published). Totals of parameters
are checked against the publishers' in tests. Vision towers and extra prediction layers are not part of a configuration.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import replace

from undiced.core.errors import ModelNotFoundError
from undiced.core.naming import same
from undiced.model.config import Activation, MlaConfig, ModelConfig, MoeConfig, RopeConfig

LLAMA3_ROPE = RopeConfig(theta=500000.0, dims=128, scaling="llama3", factor=8.0, original_context=8192)


def _dense(
    name: str,
    family: str,
    sizes: tuple[int, int, int, int, int],
    *,
    vocab: int,
    context: int,
    rope: RopeConfig,
    head_dim: int = 0,
    eps: float = 1e-5,
    tied: bool = False,
) -> ModelConfig:
    """A dense decoder; sizes are layers, dim, heads, kv_heads, ffn."""
    layers, dim, heads, kv_heads, ffn = sizes
    width = head_dim or dim // heads
    return ModelConfig(
        family=family,
        name=name,
        layers=layers,
        dim=dim,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=width,
        ffn=ffn,
        vocab=vocab,
        context=context,
        norm_eps=eps,
        rope=replace(rope, dims=width),
        tied=tied,
    )


def _rope(theta: float) -> RopeConfig:
    return RopeConfig(theta=theta, dims=2)  # `_dense` sets the width


def _llama3(name: str, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    return _dense(name, "llama", (layers, dim, heads, kv_heads, ffn), vocab=128256, context=131072, rope=LLAMA3_ROPE)


def _llama30(name: str, *sizes: int) -> ModelConfig:
    """The first ones: 8,192 positions, rotation as it is."""
    return replace(_llama3(name, *sizes), context=8192, rope=RopeConfig(theta=500000.0, dims=128))


def _llama32(name: str, *sizes: int) -> ModelConfig:
    """The small ones: a tied head, rotation stretched by 32."""
    config = _llama3(name, *sizes)
    assert config.rope is not None
    return replace(config, tied=True, rope=replace(config.rope, factor=32.0))


def _llama2(name: str, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    return _dense(name, "llama", (layers, dim, heads, kv_heads, ffn), vocab=32000, context=4096, rope=_rope(10000.0))


def _smollm2(name: str, theta: float, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    shape = (layers, dim, heads, kv_heads, ffn)
    return _dense(name, "llama", shape, vocab=49152, context=8192, rope=_rope(theta), tied=True)


def _qwen2(name: str, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    shape = (layers, dim, heads, kv_heads, ffn)
    config = _dense(name, "qwen2", shape, vocab=152064, context=131072, rope=_rope(1e6))
    return replace(config, qkv_bias=True)


def _qwen3(name: str, tied: bool, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    config = _dense(
        name,
        "qwen3",
        (layers, dim, heads, kv_heads, ffn),
        vocab=151936,
        context=40960,
        rope=_rope(1e6),
        head_dim=128,
        eps=1e-6,
        tied=tied,
    )
    return replace(config, qk_norm="weight")


def _qwen3_moe(name: str, moe_ffn: int, *sizes: int) -> ModelConfig:
    config = replace(_qwen3(name, False, *sizes), family="qwen3_moe")
    return replace(config, moe=MoeConfig(experts=128, top_k=8, ffn=moe_ffn, layers=tuple(range(config.layers))))


def _mixtral(name: str, context: int, vocab: int, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    shape = (layers, dim, heads, kv_heads, ffn)
    config = _dense(name, "mixtral", shape, vocab=vocab, context=context, rope=_rope(1e6))
    return replace(config, moe=MoeConfig(experts=8, top_k=2, ffn=ffn, layers=tuple(range(layers))))


def _gemma3(name: str, window: int, scalar: int, head_dim: int, vocab: int, *sizes: int) -> ModelConfig:
    """Five windowed layers to one full; sizes of 4B and more stretch the full layers' rotation by 8."""
    layers, dim, heads, kv_heads, ffn = sizes
    large = vocab == 262208
    rope = RopeConfig(theta=1e6, dims=head_dim, local_theta=10000.0)
    if large:
        rope = replace(rope, scaling="linear", factor=8.0)
    config = _dense(
        name,
        "gemma3",
        (layers, dim, heads, kv_heads, ffn),
        vocab=vocab,
        context=131072 if large else 32768,
        rope=rope,
        head_dim=head_dim,
        eps=1e-6,
        tied=True,
    )
    return replace(
        config,
        activation="gelu_tanh",
        windows=tuple(0 if (layer + 1) % 6 == 0 else window for layer in range(layers)),
        qk_norm="weight",
        post_norms=True,
        embed_scale=math.sqrt(dim),
        query_scale=scalar**-0.5,
    )


def _gemma2(name: str, head_dim: int, scalar: int, *sizes: int) -> ModelConfig:
    """Every other layer windowed, scores and logits capped."""
    layers, dim, heads, kv_heads, ffn = sizes
    config = _dense(
        name,
        "gemma2",
        (layers, dim, heads, kv_heads, ffn),
        vocab=256000,
        context=8192,
        rope=_rope(10000.0),
        head_dim=head_dim,
        eps=1e-6,
        tied=True,
    )
    return replace(
        config,
        activation="gelu_tanh",
        windows=tuple(4096 if layer % 2 == 0 else 0 for layer in range(layers)),
        post_norms=True,
        embed_scale=math.sqrt(dim),
        query_scale=scalar**-0.5,
        attn_softcap=50.0,
        logit_softcap=30.0,
    )


def _phi3(name: str, vocab: int, context: int, theta: float, window: int, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    shape = (layers, dim, heads, kv_heads, ffn)
    config = _dense(name, "phi3", shape, vocab=vocab, context=context, rope=_rope(theta))
    return replace(config, windows=(window,) * layers if window else ())


def _olmo2(name: str, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    shape = (layers, dim, heads, kv_heads, ffn)
    config = _dense(name, "olmo2", shape, vocab=100352, context=4096, rope=_rope(500000.0), eps=1e-6)
    return replace(config, qk_norm="whole", pre_norms=False, post_norms=True)


def _gpt_neox(name: str, *sizes: int, activation: Activation = "gelu") -> ModelConfig:
    """A quarter of every head's columns rotates; attention and feed-forward stand side by side."""
    layers, dim, heads, ffn = sizes
    config = _dense(name, "gpt_neox", (layers, dim, heads, heads, ffn), vocab=50432, context=2048, rope=_rope(10000.0))
    return replace(
        config,
        rope=RopeConfig(theta=10000.0, dims=config.head_dim // 4),
        norm="layer",
        activation=activation,
        gated=False,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        parallel=True,
    )


def _granite(name: str, vocab: int, logits: float, *sizes: int) -> ModelConfig:
    """Generation 3.3; `logits` is what logits are divided by."""
    layers, dim, heads, kv_heads, ffn = sizes
    shape = (layers, dim, heads, kv_heads, ffn)
    config = _dense(name, "granite", shape, vocab=vocab, context=131072, rope=_rope(1e7), tied=True)
    return replace(
        config, query_scale=1.0 / config.head_dim, embed_scale=12.0, residual_scale=0.22, logit_scale=1.0 / logits
    )


def _gpt_oss(name: str, layers: int, experts: int) -> ModelConfig:
    rope = RopeConfig(
        theta=150000.0,
        dims=64,
        scaling="yarn",
        factor=32.0,
        original_context=4096,
        truncate=False,
        attention_factor=0.1 * math.log(32.0) + 1.0,
    )
    shape = (layers, 2880, 64, 8, 2880)
    config = _dense(name, "gpt_oss", shape, vocab=201088, context=131072, rope=rope, head_dim=64)
    return replace(
        config,
        activation="swiglu_oss",
        windows=tuple(128 if layer % 2 == 0 else 0 for layer in range(layers)),
        qkv_bias=True,
        out_bias=True,
        sinks=True,
        moe=MoeConfig(
            experts=experts,
            top_k=4,
            ffn=2880,
            layers=tuple(range(layers)),
            router_bias=True,
            expert_bias=True,
            limit=7.0,
        ),
    )


def _llama4(name: str, experts: int, step: int, *, qk_norm: bool, context: int, scaled: bool) -> ModelConfig:
    skipped = tuple(range(3, 48, 4))
    rope = RopeConfig(theta=500000.0, dims=128, style="interleaved", skip_layers=skipped)
    if scaled:
        rope = replace(rope, scaling="llama3", factor=16.0, high_freq_factor=1.0, original_context=8192)
    config = _dense(name, "llama4", (48, 5120, 40, 8, 16384), vocab=202048, context=context, rope=rope)
    return replace(
        config,
        windows=tuple(0 if layer in skipped else 8192 for layer in range(48)),
        chunked=True,
        qk_norm="l2" if qk_norm else "none",
        temperature_floor=8192,
        temperature_scale=0.1,
        moe=MoeConfig(
            experts=experts,
            top_k=1,
            ffn=8192,
            layers=tuple(range(step - 1, 48, step)),
            scoring="sigmoid",
            normalize=False,
            shared_ffn=8192,
            scale_input=True,
        ),
    )


def _deepseek_v3(name: str) -> ModelConfig:
    """Latent attention; scores grow by YaRN's magnitude squared instead of cosines and sines."""
    rope = RopeConfig(theta=10000.0, dims=64, style="interleaved", scaling="yarn", factor=40.0, original_context=4096)
    shape = (61, 7168, 128, 128, 18432)
    config = _dense(name, "deepseek_v3", shape, vocab=129280, context=163840, rope=rope, head_dim=192, eps=1e-6)
    return replace(
        config,
        rope=rope,
        query_scale=192**-0.5 * (0.1 * math.log(40.0) + 1.0) ** 2,
        mla=MlaConfig(q_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, v_dim=128),
        moe=MoeConfig(
            experts=256,
            top_k=8,
            ffn=2048,
            layers=tuple(range(3, 61)),
            scoring="sigmoid",
            scaling=2.5,
            groups=8,
            top_groups=4,
            shared_ffn=2048,
            selection_bias=True,
        ),
    )


def _mistral(name: str, theta: float, context: int, vocab: int, head_dim: int, *sizes: int) -> ModelConfig:
    layers, dim, heads, kv_heads, ffn = sizes
    shape = (layers, dim, heads, kv_heads, ffn)
    return _dense(name, "mistral", shape, vocab=vocab, context=context, rope=_rope(theta), head_dim=head_dim)


PRESETS: dict[str, ModelConfig] = {
    config.name: config
    for config in (
        _smollm2("smollm2-135m", 100000.0, 30, 576, 9, 3, 1536),
        _smollm2("smollm2-360m", 100000.0, 32, 960, 15, 5, 2560),
        _smollm2("smollm2-1.7b", 130000.0, 24, 2048, 32, 32, 8192),
        _llama2("llama-2-7b", 32, 4096, 32, 32, 11008),
        _llama2("llama-2-13b", 40, 5120, 40, 40, 13824),
        _llama2("llama-2-70b", 80, 8192, 64, 8, 28672),
        _dense("codellama-34b", "llama", (48, 8192, 64, 8, 22016), vocab=32000, context=16384, rope=_rope(1e6)),
        _llama30("llama-3-8b", 32, 4096, 32, 8, 14336),
        _llama3("llama-3.1-8b", 32, 4096, 32, 8, 14336),
        _llama3("llama-3.1-70b", 80, 8192, 64, 8, 28672),
        _llama3("llama-3.1-405b", 126, 16384, 128, 8, 53248),
        _llama32("llama-3.2-1b", 16, 2048, 32, 8, 8192),
        _llama3("llama-3.3-70b", 80, 8192, 64, 8, 28672),
        _llama3("r1-distill-llama-70b", 80, 8192, 64, 8, 28672),
        _llama4("llama-4-scout", 16, 1, qk_norm=True, context=10485760, scaled=True),
        _llama4("llama-4-maverick", 128, 2, qk_norm=False, context=1048576, scaled=False),
        _mistral("mistral-7b", 1e6, 32768, 32768, 128, 32, 4096, 32, 8, 14336),
        _mistral("mistral-small-3", 1e8, 32768, 131072, 128, 40, 5120, 32, 8, 32768),
        _mistral("mistral-large-2", 1e6, 131072, 32768, 128, 88, 12288, 96, 8, 28672),
        _mixtral("mixtral-8x7b", 32768, 32000, 32, 4096, 32, 8, 14336),
        _mixtral("mixtral-8x22b", 65536, 32000, 56, 6144, 48, 8, 16384),
        _deepseek_v3("deepseek-v3"),
        _deepseek_v3("deepseek-r1"),
        _qwen2("qwen2-72b", 80, 8192, 64, 8, 29568),
        _qwen3("qwen3-0.6b", True, 28, 1024, 16, 8, 3072),
        _qwen3("qwen3-1.7b", True, 28, 2048, 16, 8, 6144),
        _qwen3("qwen3-4b", True, 36, 2560, 32, 8, 9728),
        _qwen3("qwen3-8b", False, 36, 4096, 32, 8, 12288),
        _qwen3("qwen3-14b", False, 40, 5120, 40, 8, 17408),
        _qwen3("qwen3-32b", False, 64, 5120, 64, 8, 25600),
        _qwen3_moe("qwen3-30b-a3b", 768, 48, 2048, 32, 4, 6144),
        _qwen3_moe("qwen3-235b-a22b", 1536, 94, 4096, 64, 4, 12288),
        _gpt_oss("gpt-oss-20b", 24, 32),
        _gpt_oss("gpt-oss-120b", 36, 128),
        _gemma2("gemma-2-2b", 256, 256, 26, 2304, 8, 4, 9216),
        _gemma2("gemma-2-9b", 256, 256, 42, 3584, 16, 8, 14336),
        _gemma2("gemma-2-27b", 128, 144, 46, 4608, 32, 16, 36864),
        _gemma3("gemma-3-270m", 512, 256, 256, 262144, 18, 640, 4, 1, 2048),
        _gemma3("gemma-3-1b", 512, 256, 256, 262144, 26, 1152, 4, 1, 6912),
        _gemma3("gemma-3-4b", 1024, 256, 256, 262208, 34, 2560, 8, 4, 10240),
        _gemma3("gemma-3-12b", 1024, 256, 256, 262208, 48, 3840, 16, 8, 15360),
        _gemma3("gemma-3-27b", 1024, 168, 128, 262208, 62, 5376, 32, 16, 21504),
        _gpt_neox("pythia-6.9b", 32, 4096, 32, 16384),
        _gpt_neox("gpt-neox-20b", 44, 6144, 64, 24576, activation="gelu_tanh"),
        _granite("granite-3.3-8b", 49159, 16.0, 40, 4096, 32, 8, 12800),
        _olmo2("olmo-2-7b", 32, 4096, 32, 32, 11008),
        _olmo2("olmo-2-13b", 40, 5120, 40, 40, 13824),
        _phi3("phi-3-mini-4k", 32064, 4096, 10000.0, 2047, 32, 3072, 32, 32, 8192),
        _phi3("phi-4", 100352, 16384, 250000.0, 0, 40, 5120, 40, 10, 17920),
    )
}


def preset(name: str) -> ModelConfig:
    """The configuration of that name, whatever its case and separators; ModelNotFoundError names the nearest ones."""
    known = same(name, PRESETS)
    if known is not None:
        return PRESETS[known]
    near = difflib.get_close_matches(name.casefold()[:200], PRESETS, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ModelNotFoundError(
        f"There is no model configuration {name[:200]!r}.{hint}",
        remedy="undiced.model.PRESETS lists all.",
    )
