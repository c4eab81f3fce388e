"""What families read besides the common keys: switches, their defaults, and those that are refused by name."""

from dataclasses import replace

import numpy as np
import pytest
from support.tiny_models import load_case, weights_of

from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.model import build, config_from_json, config_of

KEYS = {
    "block_count": 4,
    "context_length": 4096,
    "embedding_length": 32,
    "feed_forward_length": 64,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-6,
}
HF = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
      "intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 8192}  # fmt: skip


@pytest.fixture
def gguf(memory_checkpoint):
    """Reads a file with these keys; None leaves one out, a double underscore is a point."""

    def read(architecture, tensors=(), **changes):
        keys = KEYS | {key.replace("__", "."): value for key, value in changes.items()}
        metadata = {f"{architecture}.{key}": value for key, value in keys.items() if value is not None}
        arrays = {"token_embd.weight": np.zeros((50, 32), np.float32)} | dict(tensors)
        return config_of(memory_checkpoint("gguf", {"general.architecture": architecture} | metadata, arrays))

    return read


def hf(model_type, **changes):
    return config_from_json(HF | {"model_type": model_type} | changes, "m")


def test_gemma2_has_the_published_caps_and_windows_unless_a_file_says_otherwise(gguf):
    plain = gguf("gemma2")
    assert (plain.attn_softcap, plain.logit_softcap, plain.windows) == (50.0, 30.0, (4096, 0) * 2)
    stated = gguf("gemma2", attn_logit_softcapping=20.0, final_logit_softcapping=10.0, attention__sliding_window=8)
    assert (stated.attn_softcap, stated.logit_softcap, stated.windows) == (20.0, 10.0, (8, 0) * 2)
    assert gguf("gemma2", attention__sliding_window=0).windows == ()
    folder = hf("gemma2")
    assert (folder.attn_softcap, folder.logit_softcap, folder.windows) == (50.0, 30.0, (4096, 0) * 2)
    none = hf("gemma2", attn_logit_softcapping=None, final_logit_softcapping=None, sliding_window=None)
    assert (none.attn_softcap, none.logit_softcap, none.windows) == (0.0, 0.0, ())


def test_of_gemma2_one_size_scales_queries_by_the_width_over_its_heads(gguf):
    assert gguf("gemma2").query_scale == pytest.approx(8**-0.5)
    large = gguf("gemma2", block_count=46, attention__key_length=4, attention__value_length=4)
    assert large.query_scale == pytest.approx(8**-0.5)


def test_gemma2_refuses_what_it_does_not_have(gguf):
    with pytest.raises(UnsupportedError, match="freq_base_swa") as refused:
        gguf("gemma2", rope__freq_base_swa=5e5)
    assert "gemma3" in refused.value.remedy
    for key, value in (("attention__scale", 0.5), ("logit_scale", 2.0), ("residual_scale", 0.5)):
        with pytest.raises(UnsupportedError, match=key.replace("__", r"\.")):
            gguf("gemma2", **{key: value})
    with pytest.raises(UnsupportedError, match="bidirectional"):
        hf("gemma2", use_bidirectional_attention=True)


FACTORS = {"rope_factors_short.weight": [1.0, 1.5, 2.0], "rope_factors_long.weight": [1.0, 4.0, 16.0]}


def factors(*names):
    return {name: np.array(FACTORS[name], np.float32) for name in names or FACTORS}


def test_phi3_has_windows_in_every_layer_unless_they_are_as_long_as_its_context(gguf):
    assert gguf("phi3", attention__sliding_window=2047).windows == (2047,) * 4
    assert (
        gguf("phi3", attention__sliding_window=0).windows == gguf("phi3", attention__sliding_window=4096).windows == ()
    )
    assert hf("phi3", sliding_window=2047).windows == (2047,) * 4
    assert hf("phi3", sliding_window=262144).windows == hf("phi3", sliding_window=None).windows == ()


def test_phi3_takes_its_factors_from_tensors(gguf):
    keys = {
        "rope__dimension_count": 6,
        "rope__scaling__original_context_length": 512,
        "rope__scaling__attn_factor": 1.19,
    }
    for kind in ({}, {"rope__scaling__type": "longrope"}):
        rope = gguf("phi3", factors(), **keys, **kind).rope
        assert (rope.scaling, rope.original_context, rope.attention_factor) == ("longrope", 512, 1.19)
        assert (rope.short_factors, rope.long_factors) == ((1.0, 1.5, 2.0), (1.0, 4.0, 16.0))
    for present, more in ((("rope_factors_long.weight",), {}), ((), {"rope__scaling__factor": 2.0})):
        with pytest.raises(UnsupportedError, match="make sense together"):
            gguf("phi3", factors(*present), **keys, **more)
    with pytest.raises(CheckpointError, match="3 short factors, expected 2"):
        gguf("phi3", factors(), rope__dimension_count=4)


LONG = {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8}


def test_phi3s_attention_grows_with_the_stretch_of_its_context():
    rope = hf("phi3", rope_scaling=LONG, original_max_position_embeddings=1024).rope
    assert rope.attention_factor == pytest.approx((1 + np.log(8) / np.log(1024)) ** 0.5)
    assert hf("phi3", rope_scaling=LONG | {"type": "su"}, original_max_position_embeddings=1024).rope == rope
    assert hf("phi3", rope_scaling=LONG).rope.attention_factor == 1.0
    assert hf("phi3", rope_scaling=LONG | {"attention_factor": 1.5}).rope.attention_factor == 1.5
    assert hf("phi3", rope_scaling=LONG | {"factor": 4.0, "original_max_position_embeddings": 256}
              ).rope.attention_factor == pytest.approx((1 + np.log(4) / np.log(256)) ** 0.5)  # fmt: skip


@pytest.mark.parametrize(
    "factors",
    ([1.0] * 7, "1", *([1.0] * 7 + [wrong] for wrong in ("1", True, float("nan"), float("inf"), 10**400, -2e12, 0.0))),
)
def test_factors_are_as_many_numbers_as_there_are_pairs(factors):
    with pytest.raises(CheckpointError, match=r"long_factor|long rope factor"):
        hf("phi3", rope_scaling=LONG | {"long_factor": factors})


def test_phi3_refuses_other_rotations(gguf):
    for scaling in ({"type": "yarn", "factor": 4.0}, {"type": "linear", "factor": 2.0}):
        with pytest.raises(UnsupportedError, match="not supported by the family") as refused:
            hf("phi3", rope_scaling=scaling)
        assert "longrope" in refused.value.remedy
    with pytest.raises(UnsupportedError, match="'longrope'"):
        gguf("phi3", rope__scaling__type="longrope")
    with pytest.raises(UnsupportedError, match="final_logit_softcapping"):
        gguf("phi3", final_logit_softcapping=30.0)


def test_olmo2_has_norms_behind_its_parts_alone(gguf):
    for config in (gguf("olmo2"), hf("olmo2")):
        assert (config.qk_norm, config.pre_norms, config.post_norms) == ("whole", False, True)
    assert hf("olmo2", attention_bias=True).qkv_bias
    with pytest.raises(CheckpointError, match="norms before or after"):
        replace(hf("olmo2"), post_norms=False)


def test_olmo3_has_windows_that_rotate_unscaled(gguf):
    yarn = {"rope__scaling__type": "yarn", "rope__scaling__factor": 8.0, "rope__scaling__original_context_length": 512}
    file = gguf("olmo2", attention__sliding_window=8, rope__freq_base=5e5, **yarn)
    stated = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 512}
    old = hf("olmo3", sliding_window=8, rope_scaling=stated, rope_theta=5e5)
    new = hf("olmo3", sliding_window=8, rope_parameters={"full_attention": stated | {"rope_theta": 5e5}})
    assert old == new
    for config in (file, old):
        assert (config.windows, config.rope.local_theta, config.rope.scaling) == ((8, 8, 8, 0), 5e5, "yarn")
    assert (gguf("olmo2").windows, gguf("olmo2").rope.local_theta) == ((), 0.0)
    assert hf("olmo3").windows == (4096, 4096, 4096, 0) and hf("olmo3", sliding_window=None).windows == ()
    with pytest.raises(UnsupportedError, match="scaled rotation of windowed layers"):
        hf("olmo3", rope_parameters={"full_attention": {}, "sliding_attention": stated})


def test_granites_factors_are_those_of_a_llama_unless_they_are_stated(gguf):
    scales = ("query_scale", "embed_scale", "residual_scale", "logit_scale")

    def read(config):
        return tuple(getattr(config, name) for name in scales)

    assert read(gguf("granite")) == read(gguf("granite", attention__scale=0.0, residual_scale=0.0)) == (0, 1, 1, 1)
    stated = {"attention__scale": 0.5, "embedding_scale": 12.0, "residual_scale": 0.25, "logit_scale": 8.0}
    assert read(gguf("granite", **stated)) == (0.5, 12.0, 0.25, 0.125)
    assert read(hf("granite")) == (1, 1, 1, 1)  # transformers' default is no root of the head's width
    stated = {"attention_multiplier": 0.5, "embedding_multiplier": 12, "residual_multiplier": 0.25, "logits_scaling": 8}
    assert read(hf("granite", **stated)) == (0.5, 12.0, 0.25, 0.125)


def test_granite_refuses_what_it_does_not_have(gguf):
    for key, value in (("expert_count", 4), ("rope__scaling__finetuned", False), ("attention__sliding_window", 64)):
        more = {"expert_used_count": 2} if key == "expert_count" else {}
        with pytest.raises(UnsupportedError, match=key.replace("__", r"\.")):
            gguf("granite", **{key: value}, **more)
    for key in ("attention_multiplier", "embedding_multiplier", "residual_multiplier", "logits_scaling"):
        with pytest.raises(CheckpointError, match=key):
            hf("granite", **{key: 0.0})


def test_a_factor_on_sums_needs_norms_before_them():
    with pytest.raises(CheckpointError, match="residual scale needs norms"):
        replace(hf("olmo2"), residual_scale=0.5)
    with pytest.raises(CheckpointError, match="no learned positions"):
        replace(hf("granite", residual_multiplier=0.5), learned_positions=True)


NEOX = {"attention__layer_norm_rms_epsilon": None, "attention__layer_norm_epsilon": 1e-5, "use_parallel_residual": True}


def test_gpt_neox_must_say_how_its_parts_stand(gguf):
    parallel, serial = (gguf("gptneox", **NEOX | {"use_parallel_residual": flag}) for flag in (True, False))
    assert parallel.parallel and replace(serial, parallel=True) == parallel
    assert not parallel.qkv_bias and gguf("gptneox", {"blk.0.attn_qkv.bias": np.zeros(96, np.float32)}, **NEOX).qkv_bias
    for key in ("use_parallel_residual", "attention__layer_norm_epsilon"):
        with pytest.raises(CheckpointError, match=key.replace("__", r"\.") + " is missing"):
            gguf("gptneox", **NEOX | {key: None})
    with pytest.raises(CheckpointError, match="does not divide 32"):
        gguf("gptneox", **NEOX | {"attention__head_count": 3})
    for key, value in (("attention__scale", 0.7), ("final_logit_softcapping", 30.0), ("residual_scale", 0.5)):
        with pytest.raises(UnsupportedError, match=key.replace("__", r"\.")):
            gguf("gptneox", **NEOX | {key: value})


def test_gpt_neox_rotates_a_part_of_its_heads_by_either_spelling():
    assert (hf("gpt_neox").rope.dims, hf("gpt_neox").rope.theta) == (4, 1e4)
    old = hf("gpt_neox", rotary_pct=0.5, rotary_emb_base=20000)
    new = hf("gpt_neox", rope_parameters={"rope_type": "default", "rope_theta": 2e4, "partial_rotary_factor": 0.5})
    assert (old.rope.dims, old.rope.theta) == (8, 2e4) and old == new
    with pytest.raises(UnsupportedError, match="activation 'relu'"):
        hf("gpt_neox", hidden_act="relu")
    with pytest.raises(CheckpointError, match="norms before them and none behind"):
        replace(hf("gpt_neox"), post_norms=True)


@pytest.mark.parametrize("head", ["embed_out.weight", "lm_head.weight"])
def test_gpt_neoxs_head_has_an_old_and_a_new_name(memory_checkpoint, head):
    case = load_case("gpt-neox")
    weights = {head if name == "embed_out.weight" else name: value for name, value in weights_of(case).items()}
    graph = build(memory_checkpoint("hf", case["config"], weights))
    assert [source.tensor for source in graph.slot("lm_head").sources] == [head]
    q = graph.slot("layers.0.attn.q").sources
    assert [(s.transforms[0].a, s.transforms[0].b) for s in q] == [(0, 16), (48, 16), (96, 16)]


MIXTURE = {"expert_count": 4, "expert_used_count": 1, "expert_feed_forward_length": 16}


def test_llama4_has_the_published_chunks_unless_its_window_is_none(gguf):
    usual = gguf("llama4", **MIXTURE)
    assert (usual.windows, usual.chunked, usual.qk_norm) == ((8192, 8192, 8192, 0), True, "l2")
    assert (usual.rope.skip_layers, usual.temperature_floor, usual.moe.scale_input) == ((3,), 8192, True)
    whole = gguf("llama4", attention__sliding_window=0, **MIXTURE)
    assert (whole.windows, whole.rope.skip_layers, whole.temperature_floor) == ((), (), 0)
    assert gguf("llama4", **MIXTURE | {"expert_count": 128}).qk_norm == "none"
    with pytest.raises(CheckpointError, match="expert_count is missing"):
        gguf("llama4")


LATENTS = {"attention__kv_lora_rank": 16, "rope__dimension_count": 8, "attention__key_length_mla": 24,
           "attention__value_length_mla": 12, "expert_shared_count": 2}  # fmt: skip


def test_deepseek2_tells_its_variants_by_keys(gguf):
    plain = gguf("deepseek2", **MIXTURE | LATENTS)
    mla = plain.mla
    assert (mla.q_rank, mla.kv_rank, mla.nope_dim, mla.rope_dim, mla.v_dim) == (0, 16, 16, 8, 12)
    assert (plain.moe.scoring, plain.moe.group_best, plain.moe.normalize, plain.moe.shared_ffn) == (
        "softmax",
        1,
        False,
        32,
    )
    old = {"attention__key_length_mla": None, "attention__value_length_mla": None, "attention__key_length": 24,
           "attention__value_length": 12}  # fmt: skip
    assert gguf("deepseek2", **MIXTURE | LATENTS | old).mla == mla
    third = gguf("deepseek2", expert_gating_func=2, expert_weights_norm=True, **MIXTURE | LATENTS)
    assert (third.moe.scoring, third.moe.group_best, third.moe.normalize) == ("sigmoid", 2, True)
    stretched = {
        "rope__scaling__type": "yarn",
        "rope__scaling__factor": 40.0,
        "rope__scaling__yarn_log_multiplier": 0.0707,
    }
    grown = gguf("deepseek2", **MIXTURE | LATENTS | stretched)
    assert grown.rope.attention_factor == 1.0
    assert grown.query_scale == pytest.approx(24**-0.5 * (1 + 0.0707 * np.log(40)) ** 2)
    with pytest.raises(UnsupportedError, match="expert_gating_func 3"):
        gguf("deepseek2", expert_gating_func=3, **MIXTURE | LATENTS)
    with pytest.raises(CheckpointError, match="of which 24 columns rotate"):
        gguf("deepseek2", **MIXTURE | LATENTS | {"rope__dimension_count": 24})
