"""The catalog: totals as published, active parameters as published, names found whatever their case."""

import pytest

from undiced.core.errors import ModelNotFoundError, UnsupportedError
from undiced.model import PRESETS, Load, build_config, preset

# Published: safetensors totals or model cards. Gemma without its vision tower (0.42 B), Llama 4 without its (0.9 B).
EXACT = {
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "codellama-34b": 33_743_970_304,
    "llama-3-8b": 8_030_261_248,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.3-70b": 70_553_706_496,
    "r1-distill-llama-70b": 70_553_706_496,
    "mistral-7b": 7_248_023_552,
    "mistral-small-3": 23_572_403_200,
    "mistral-large-2": 122_610_069_504,
    "mixtral-8x7b": 46_702_792_704,
    "mixtral-8x22b": 140_620_634_112,
    "qwen2-72b": 72_706_203_648,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984,
    "gemma-2-27b": 27_227_128_320,
    "gemma-3-270m": 268_098_176,
    "gemma-3-1b": 999_885_952,
    "pythia-6.9b": 6_857_302_016,
    "gpt-neox-20b": 20_554_567_680,
    "granite-3.3-8b": 8_170_864_640,
    "olmo-2-7b": 7_298_617_344,
    "olmo-2-13b": 13_716_198_400,
    "phi-3-mini-4k": 3_821_079_552,
    "phi-4": 14_659_507_200,
}
BILLIONS = {  # to the published digits
    "deepseek-v3": 671.0,
    "deepseek-r1": 671.0,
    "gpt-oss-20b": 20.91,
    "gpt-oss-120b": 116.83,
    "llama-4-scout": 107.8,
    "llama-4-maverick": 400.7,
    "qwen3-0.6b": 0.6,
    "qwen3-1.7b": 1.7,
    "qwen3-4b": 4.0,
    "gemma-3-4b": 3.88,
    "gemma-3-12b": 11.8,
    "gemma-3-27b": 27.0,
}
ACTIVE_BILLIONS = {
    "gpt-oss-20b": 3.61,
    "gpt-oss-120b": 5.13,
    "deepseek-v3": 37.0,
    "qwen3-235b-a22b": 22.0,
    "qwen3-30b-a3b": 3.3,
    "mixtral-8x7b": 12.9,
    "mixtral-8x22b": 39.0,
    "llama-4-scout": 17.0,
    "llama-4-maverick": 17.0,
}


def test_every_preset_has_a_published_total():
    assert set(PRESETS) == set(EXACT) | set(BILLIONS)


@pytest.mark.parametrize("name", EXACT)
def test_parameters_to_the_last_one(name):
    assert build_config(PRESETS[name]).parameters == EXACT[name]


@pytest.mark.parametrize("name", BILLIONS)
def test_parameters_to_the_published_digits(name):
    digits = len(str(BILLIONS[name]).split(".")[1])
    assert round(build_config(PRESETS[name]).parameters / 1e9, digits) == BILLIONS[name]


@pytest.mark.parametrize("name", ACTIVE_BILLIONS)
def test_active_parameters(name):
    """Publishers differ in whether embeddings count; a tenth of the total is within their conventions."""
    assert build_config(PRESETS[name]).active_parameters / 1e9 == pytest.approx(ACTIVE_BILLIONS[name], rel=0.09)


def test_flops_of_a_token_are_twice_the_active_parameters():
    for name in ("llama-3.1-8b", "mixtral-8x7b", "gpt-oss-120b", "deepseek-v3", "llama-4-maverick"):
        graph = build_config(PRESETS[name])
        assert graph.flops(Load(1, 1.0)) == pytest.approx(2 * graph.active_parameters, rel=0.02)


def test_quantized_bytes_follow_the_format():
    config = PRESETS["llama-3.1-8b"]
    assert build_config(config, "BF16").weight_bytes == pytest.approx(2 * 8.03e9, rel=1e-3)
    assert build_config(config, "Q8_0").weight_bytes == pytest.approx(34 / 32 * 8.03e9, rel=1e-3)
    assert build_config(config, "Q4_0").weight_bytes == pytest.approx(18 / 32 * 8.03e9, rel=1e-3)
    with pytest.raises(UnsupportedError, match="'INT3' is unknown"):
        build_config(config, "INT3")


def test_a_batch_touches_more_experts_but_never_more_than_all():
    graph = build_config(PRESETS["mixtral-8x7b"])
    reads = [graph.bytes(Load(tokens, 1.0, tokens, value_bytes=0, kv_bytes=0)) for tokens in (1, 4, 64)]
    assert reads[0] == pytest.approx(2 * graph.active_parameters, rel=1e-3)
    assert reads[0] < reads[1] < reads[2] <= graph.weight_bytes


def test_latent_cache_is_small():
    graph = build_config(PRESETS["deepseek-v3"])
    far, near = (graph.bytes(Load(1, context, value_bytes=0)) for context in (1001.0, 1.0))
    assert (far - near) / 1000 == pytest.approx(61 * (512 + 64) * 2)


def test_names_are_found_and_misses_suggest():
    assert preset("Llama-3.1-8B") is PRESETS["llama-3.1-8b"]
    assert preset("llama3.3-70b") is PRESETS["llama-3.3-70b"]
    with pytest.raises(ModelNotFoundError, match=r"Did you mean .*llama-3\.3-70b"):
        preset("llama-3.3-72b")
    with pytest.raises(ModelNotFoundError, match="no model configuration 'zzz'") as failure:
        preset("zzz")
    assert "PRESETS lists all" in failure.value.remedy
