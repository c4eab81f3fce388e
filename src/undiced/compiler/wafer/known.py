"""Dimensions of well-known models by name: public facts, no weights needed. Only what mappings use."""

from __future__ import annotations

from undiced.compiler.wafer.dims import Dims, Experts, Latent

_DEEPSEEK_EXPERTS = Experts(count=256, active=8, ffn=2048, shared_ffn=2048, dense_layers=3)
_DEEPSEEK_LATENT = Latent(query_rank=1536, kv_rank=512, nope_dims=128, rope_dims=64, value_dims=128)


def _deepseek(name: str) -> Dims:
    return Dims(name, 61, 7168, 128, 128, 192, 18432, 129_280, experts=_DEEPSEEK_EXPERTS, latent=_DEEPSEEK_LATENT)


KNOWN: dict[str, Dims] = {
    dims.name: dims
    for dims in (
        Dims("llama-3-8b", 32, 4096, 32, 8, 128, 14336, 128_256),
        Dims("llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128_256),
        Dims("llama-3.1-70b", 80, 8192, 64, 8, 128, 28672, 128_256),
        Dims("llama-3.3-70b", 80, 8192, 64, 8, 128, 28672, 128_256),
        Dims("r1-distill-llama-70b", 80, 8192, 64, 8, 128, 28672, 128_256),
        Dims("llama-3.1-405b", 126, 16384, 128, 8, 128, 53248, 128_256),
        Dims("llama-3.2-1b", 16, 2048, 32, 8, 64, 8192, 128_256),
        Dims("llama-4-scout", 48, 5120, 40, 8, 128, 16384, 202_048, experts=Experts(16, 1, 8192, 8192)),
        Dims("mistral-small-3", 40, 5120, 32, 8, 128, 32768, 131_072),
        Dims("mistral-large-2", 88, 12288, 96, 8, 128, 28672, 32_768),
        Dims("mixtral-8x7b", 32, 4096, 32, 8, 128, 14336, 32_000, experts=Experts(8, 2, 14336)),
        Dims("mixtral-8x22b", 56, 6144, 48, 8, 128, 16384, 32_768, experts=Experts(8, 2, 16384)),
        Dims("qwen2-72b", 80, 8192, 64, 8, 128, 29568, 152_064),
        Dims("qwen3-1.7b", 28, 2048, 16, 8, 128, 6144, 151_936, qk_norm=True),
        Dims("qwen3-32b", 64, 5120, 64, 8, 128, 25600, 151_936, qk_norm=True),
        Dims("qwen3-235b-a22b", 94, 4096, 64, 4, 128, 12288, 151_936, qk_norm=True, experts=Experts(128, 8, 1536)),
        Dims("gpt-oss-20b", 24, 2880, 64, 8, 64, 2880, 201_088, experts=Experts(32, 4, 2880)),
        Dims("gpt-oss-120b", 36, 2880, 64, 8, 64, 2880, 201_088, experts=Experts(128, 4, 2880)),
        Dims("gemma-3-27b", 62, 5376, 32, 16, 128, 21504, 262_208, qk_norm=True),
        Dims("smollm2-135m", 30, 576, 9, 3, 64, 1536, 49_152),
        _deepseek("deepseek-v3"),
        _deepseek("deepseek-r1"),
    )
}
