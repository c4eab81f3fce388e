"""Readers of files as people have them: what a missing key means, what contradicts itself, and what would be left out.

GGUF as llama.cpp takes it, config.json as transformers does, or a refusal.
"""

import logging
import math

import numpy as np
import pytest

from undiced.core.errors import CheckpointError, UndicedError, UnsupportedError
from undiced.model import build, config_from_json, config_of

KEYS = {
    "block_count": 12,
    "context_length": 4096,
    "embedding_length": 32,
    "feed_forward_length": 64,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.key_length": 8,
    "attention.value_length": 8,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "rope.freq_base": 5e5,
}
EXPERTS = {"expert_count": 4, "expert_used_count": 2, "attention.sliding_window": 128}


def gguf(memory_checkpoint, architecture, **changes):
    """The configuration of a file with these keys; None leaves one out, a double underscore is a point."""
    keys = KEYS | (EXPERTS if architecture == "gpt-oss" else {})
    keys |= {key.replace("__", "."): value for key, value in changes.items()}
    metadata = {f"{architecture}.{key}": value for key, value in keys.items() if value is not None}
    table = {"token_embd.weight": np.zeros((50, 32), np.float32)}
    return config_of(memory_checkpoint("gguf", {"general.architecture": architecture} | metadata, table))


ALL = ["llama", "qwen2", "qwen3", "qwen3moe", "gemma3", "gpt-oss"]


@pytest.mark.parametrize("architecture", ALL)
@pytest.mark.parametrize("key", ["attention.layer_norm_rms_epsilon", "context_length", "block_count"])
def test_what_no_shape_tells_is_not_invented(memory_checkpoint, architecture, key):
    with pytest.raises(CheckpointError, match=f"{key} is missing"):
        gguf(memory_checkpoint, architecture, **{key: None})


def test_gpt2_needs_its_heads_and_its_epsilon(memory_checkpoint):
    keys = {"block_count": 2, "context_length": 64, "embedding_length": 48, "feed_forward_length": 64,
            "attention.head_count": 4, "attention.layer_norm_epsilon": 1e-5}  # fmt: skip
    for key in ("attention.head_count", "attention.layer_norm_epsilon"):
        rest = {f"gpt2.{k}": v for k, v in keys.items() if k != key}
        with pytest.raises(CheckpointError, match=f"{key} is missing"):
            config_of(memory_checkpoint("gguf", {"general.architecture": "gpt2"} | rest,
                                        {"token_embd.weight": np.zeros((50, 48), np.float32)}))  # fmt: skip


def test_gemma3_without_a_window_has_none_and_one_rotary_base(memory_checkpoint):
    config = gguf(memory_checkpoint, "gemma3")
    assert (config.windows, config.rope.theta, config.rope.local_theta) == ((), 5e5, 0.0)
    yarn = gguf(memory_checkpoint, "gemma3", rope__scaling__type="yarn", rope__scaling__factor=4.0)
    assert (yarn.windows, yarn.rope.scaling, yarn.rope.original_context) == ((), "yarn", 4096)


def test_gemma3_with_a_window_alternates_as_it_says(memory_checkpoint):
    config = gguf(memory_checkpoint, "gemma3", attention__sliding_window=512)
    assert config.windows == (512,) * 5 + (0,) + (512,) * 5 + (0,)
    assert (config.rope.theta, config.rope.local_theta) == (5e5, 1e4)
    thirds = gguf(memory_checkpoint, "gemma3", attention__sliding_window=512, attention__sliding_window_pattern=3)
    assert thirds.windows == (512, 512, 0) * 4
    listed = [layer % 4 == 0 for layer in range(12)]
    stated = gguf(memory_checkpoint, "gemma3", attention__sliding_window=9, attention__sliding_window_pattern=listed)
    assert stated.windows == (9, 0, 0, 0) * 3
    for pattern, windows in ((0, (9,) * 12), (1, (0,) * 12)):
        got = gguf(memory_checkpoint, "gemma3", attention__sliding_window=9, attention__sliding_window_pattern=pattern)
        assert got.windows == windows
    with pytest.raises(CheckpointError, match="sliding_window_pattern"):
        gguf(memory_checkpoint, "gemma3", attention__sliding_window=9, attention__sliding_window_pattern=listed[:3])
    assert gguf(memory_checkpoint, "gemma3", rope__freq_base=None).rope.theta == 1e4


def test_gpt_oss_must_state_its_window(memory_checkpoint):
    assert gguf(memory_checkpoint, "gpt-oss").windows == (128, 0) * 6
    with pytest.raises(CheckpointError, match=r"attention\.sliding_window is missing"):
        gguf(memory_checkpoint, "gpt-oss", attention__sliding_window=None)
    with pytest.raises(UnsupportedError, match="freq_base_swa"):
        gguf(memory_checkpoint, "gpt-oss", rope__freq_base_swa=1e4)


def test_a_window_of_llamas_is_every_layers_and_qwens_is_refused(memory_checkpoint):
    assert gguf(memory_checkpoint, "llama", attention__sliding_window=512).windows == (512,) * 12
    for architecture in ("qwen2", "qwen3", "qwen3moe"):
        with pytest.raises(UnsupportedError, match="not for which layers"):
            gguf(memory_checkpoint, architecture, attention__sliding_window=512)
        assert gguf(memory_checkpoint, architecture, attention__sliding_window=4096).windows == ()


@pytest.mark.parametrize("architecture", ALL)
def test_a_factor_without_a_type_is_linear(memory_checkpoint, architecture):
    for key in ("rope.scaling.factor", "rope.scale_linear"):
        rope = gguf(memory_checkpoint, architecture, **{key: 4.0}).rope
        assert (rope.scaling, rope.factor) == ("linear", 4.0)
    assert (
        gguf(memory_checkpoint, architecture, rope__scaling__factor=4.0, rope__scaling__type="none").rope.scaling
        == "none"
    )
    assert gguf(memory_checkpoint, architecture, rope__scaling__factor=0.0).rope.scaling == "none"
    with pytest.raises(UnsupportedError, match="'longrope'"):
        gguf(memory_checkpoint, architecture, rope__scaling__type="longrope")


def yarn(memory_checkpoint, **keys):
    changes = {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0} | {
        f"rope__scaling__{key}": value for key, value in keys.items()
    }
    return gguf(memory_checkpoint, "llama", **changes).rope


def test_yarn_keys_are_read_as_llama_cpp_reads_them(memory_checkpoint):
    growth = 0.1 * math.log(4) + 1
    plain = yarn(memory_checkpoint)
    assert (plain.scaling, plain.factor, plain.original_context) == ("yarn", 4.0, 4096)
    assert plain.attention_factor == pytest.approx(growth)
    full = yarn(memory_checkpoint, original_context_length=512, yarn_beta_fast=16.0, yarn_beta_slow=2.0)
    assert (full.original_context, full.beta_fast, full.beta_slow) == (512, 16.0, 2.0)
    assert yarn(memory_checkpoint, yarn_log_multiplier=1.0).attention_factor == pytest.approx(1.0)
    half = yarn(memory_checkpoint, yarn_log_multiplier=0.5, attn_factor=2.0)
    assert half.attention_factor == pytest.approx(2 * growth / (0.05 * math.log(4) + 1))
    assert yarn(memory_checkpoint, yarn_ext_factor=-1.0) == yarn(memory_checkpoint, yarn_ext_factor=1.0) == plain
    none = yarn(memory_checkpoint, yarn_ext_factor=0.0, attn_factor=0.5)
    assert (none.scaling, none.factor, none.attention_factor) == ("linear", 4.0, 0.5)
    for key, value in (("yarn_ext_factor", 0.5), ("yarn_attn_factor", 0.8)):
        with pytest.raises(UnsupportedError, match=key):
            yarn(memory_checkpoint, **{key: value})
    assert yarn(memory_checkpoint, yarn_attn_factor=1.0) == plain


IDLE = {"attention.scale": 8**-0.5, "attention.causal": True, "logit_scale": 1.0, "expert_weights_norm": True,
        "expert_gating_func": 1, "attention.clamp_kqv": 0.0, "residual_scale": 0.0,
        "attention.max_alibi_bias": 0.0}  # fmt: skip
TELLING = {"attention.scale": 0.5, "attention.causal": False, "logit_scale": 0.25, "expert_weights_norm": False,
           "expert_gating_func": 2, "attention.clamp_kqv": 8.0, "residual_scale": 0.5, "attention.max_alibi_bias": 8.0,
           "attn_logit_softcapping": 50.0, "embedding_scale": 12.0, "rope.scaling.alpha": 1000.0,
           "use_parallel_residual": True, "expert_group_count": 8, "logit_scale.": None}  # fmt: skip


@pytest.mark.parametrize("architecture", ALL)
def test_keys_that_would_change_every_answer_are_not_left_out(memory_checkpoint, architecture):
    assert gguf(memory_checkpoint, architecture, **IDLE).layers == 12
    for key, value in TELLING.items():
        if value is not None:
            with pytest.raises(UnsupportedError, match=key):
                gguf(memory_checkpoint, architecture, **{key: value})


def test_capped_logits_are_gemmas_and_scaled_experts_anyones(memory_checkpoint):
    assert gguf(memory_checkpoint, "gemma3", final_logit_softcapping=30.0).logit_softcap == 30.0
    for architecture in set(ALL) - {"gemma3"}:
        with pytest.raises(UnsupportedError, match="final_logit_softcapping"):
            gguf(memory_checkpoint, architecture, final_logit_softcapping=30.0)
    mixture = gguf(
        memory_checkpoint, "qwen3moe", **EXPERTS | {"attention.sliding_window": None}, expert_weights_scale=2.5
    )
    assert mixture.moe.scaling == 2.5


def test_metadata_that_a_family_does_not_read_need_not_be_valid(memory_checkpoint):
    odd = {"vocab_size": "many", "expert_used_count": -1, "rope.scaling.finetuned": 7, "tensor_data_layout": []}
    assert gguf(memory_checkpoint, "llama", **odd) == gguf(memory_checkpoint, "llama")


HF = {"hidden_size": 256, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4,
      "intermediate_size": 512, "vocab_size": 1000, "max_position_embeddings": 8192}  # fmt: skip


def hf(model_type="llama", **changes):
    return config_from_json(HF | {"model_type": model_type} | changes, "m")


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_rotary_settings_stand_in_either_object(key):
    stated = {"rope_type": "linear", "factor": 2.0, "rope_theta": 7e4}
    rope = hf(**{key: stated}).rope
    assert (rope.scaling, rope.factor, rope.theta) == ("linear", 2.0, 7e4)
    beside = hf(**{key: {"type": "linear", "factor": 2.0}}, rope_theta=6e4).rope
    assert (beside.scaling, beside.theta) == ("linear", 6e4)
    assert hf(**{key: {}}, rope_theta=6e4).rope.theta == 6e4


def test_of_two_objects_rope_scaling_counts():
    both = hf(rope_scaling={"rope_type": "linear", "factor": 2.0}, rope_parameters={"rope_type": "default"})
    assert both.rope.scaling == "linear"


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"factor": 2.0}, "rope_type is missing beside a factor"),
        ({"rope_type": "yarn"}, "factor is missing"),
        ({"full_attention": {"rope_type": "default"}}, "layers of type 'full_attention' are not supported"),
        ({"rope_type": "longrope", "factor": 2.0}, "short_factor is missing"),
        ({"rope_type": 3}, "rope_type is 3"),
        ("linear", "is something else"),
    ],
)
def test_rotary_settings_that_say_too_little_are_refused(scaling, message):
    with pytest.raises(UndicedError, match=message):
        hf(rope_scaling=scaling)


def test_yarns_factor_is_stated_or_the_ratio_of_the_contexts():
    assert hf(rope_scaling={"rope_type": "yarn", "original_max_position_embeddings": 2048}).rope.factor == 4.0
    outside = hf(rope_scaling={"rope_type": "yarn", "factor": 3.0}, original_max_position_embeddings=1024).rope
    assert (outside.factor, outside.original_context) == (3.0, 1024)


def test_null_windows_are_none_in_every_family():
    assert hf("qwen2", use_sliding_window=True, max_window_layers=0, sliding_window=None).windows == ()
    assert hf("qwen2", use_sliding_window=True, max_window_layers=0, sliding_window=64).windows == (64,) * 8
    assert hf("mistral", sliding_window=None).windows == hf("mixtral", sliding_window=None).windows == ()
    assert hf("gemma3_text", sliding_window=None).windows == ()
    assert hf("llama4_text", attention_chunk_size=None).windows == ()


def test_gemma3_refuses_rotary_settings_of_a_form_it_does_not_have():
    with pytest.raises(CheckpointError, match="full_attention is missing"):
        hf("gemma3_text", rope_parameters={"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6})


def test_defaults_are_those_of_each_familys_configuration():
    """Values of transformers 5, where they differ from llama's."""
    assert (hf("mixtral").rope.theta, hf("mixtral").norm_eps) == (1e6, 1e-5)
    assert (hf("llama4_text").rope.theta, hf("llama4_text").norm_eps) == (5e5, 1e-5)
    oss = hf("gpt_oss")
    assert (oss.norm_eps, oss.rope.scaling, oss.rope.factor, oss.rope.original_context) == (1e-5, "yarn", 32.0, 4096)
    assert oss.rope.attention_factor == pytest.approx(0.1 * math.log(32) + 1) and not oss.rope.truncate
    unstated = {key: value for key, value in HF.items() if key != "max_position_embeddings"}
    contexts = {"llama": 2048, "mistral": 131072, "mixtral": 131072, "qwen2": 32768, "qwen3": 32768,
                "qwen3_moe": 32768, "gpt_oss": 131072, "llama4_text": 131072}  # fmt: skip
    for name, context in contexts.items():
        assert config_from_json(unstated | {"model_type": name}, "m").context == context


def tied(tiny_llama, memory_checkpoint, head):
    arrays = {name: value for name, value in tiny_llama.arrays.items() if name != "lm_head.weight"}
    arrays |= {} if head is None else {"lm_head.weight": head(arrays["model.embed_tokens.weight"])}
    return memory_checkpoint("hf", dict(tiny_llama.metadata) | {"tie_word_embeddings": True}, arrays)


def test_a_flag_ties_what_is_equal_or_absent(tiny_llama, memory_checkpoint):
    for head in (None, np.copy):
        checkpoint = tied(tiny_llama, memory_checkpoint, head)
        assert config_of(checkpoint).tied
        assert "lm_head" not in {slot.name for slot in build(checkpoint).slots}


def test_a_head_of_its_own_is_used_whatever_the_flag_says(tiny_llama, memory_checkpoint, caplog):
    """Also if only the very last number differs."""

    def changed(table):
        head = table.copy()
        head[-1, -1] += 1
        return head

    checkpoint = tied(tiny_llama, memory_checkpoint, changed)
    with caplog.at_level(logging.WARNING):
        graph = build(checkpoint)
    assert not config_of(checkpoint).tied
    assert graph.slot("lm_head").sources[0].tensor == "lm_head.weight"
    assert "the head differs from the embedding; the head is used" in caplog.text


def test_a_head_of_another_shape_is_an_error_not_a_tie(tiny_llama, memory_checkpoint):
    with pytest.raises(CheckpointError, match=r"lm_head\.weight has shape \(49, 32\)"):
        build(tied(tiny_llama, memory_checkpoint, lambda table: table[1:]))


@pytest.mark.parametrize("value", ["\x1b[31m", "x" * 500, [[[[]]]], {"a": {}}, 10**4000, True, -(2**300)])
def test_hostile_values_are_named_in_one_harmless_line(value):
    with pytest.raises(UndicedError) as failure:
        hf(hidden_size=value)
    assert failure.value.message.isprintable() and len(failure.value.message) < 300
