"""From files to graphs: what is unknown, missing, mis-shaped, absurd or left over has one error that names it."""

import numpy as np
import pytest

from undiced.core.errors import CheckpointError, UndicedError, UnsupportedError
from undiced.model import FAMILIES, build, config_from_json, config_of


def with_json(tiny_llama, memory_checkpoint, **changes):
    metadata = {k: v for k, v in (dict(tiny_llama.metadata) | changes).items() if v != "absent"}
    return memory_checkpoint("hf", metadata, tiny_llama.arrays)


def test_unknown_architectures_are_named_with_those_supported(tiny_llama, memory_checkpoint):
    other = with_json(tiny_llama, memory_checkpoint, architectures=["MambaForCausalLM"], model_type="mamba")
    with pytest.raises(UnsupportedError, match="'MambaForCausalLM' is not supported") as failure:
        build(other)
    assert "llama, " in failure.value.remedy and "gpt2" in failure.value.remedy
    with pytest.raises(UnsupportedError, match="'rwkv' is not supported") as failure:
        build(memory_checkpoint("gguf", {"general.architecture": "rwkv"}, {}))
    assert "llama" in failure.value.remedy and "gemma3" in failure.value.remedy


def test_a_configuration_without_a_name_is_damaged(tiny_llama, memory_checkpoint):
    with pytest.raises(CheckpointError, match="neither model_type nor architectures"):
        build(with_json(tiny_llama, memory_checkpoint, architectures="absent", model_type="absent"))
    with pytest.raises(CheckpointError, match=r"general\.architecture is missing"):
        build(memory_checkpoint("gguf", {}, {}))


def test_model_type_alone_is_enough(tiny_llama, memory_checkpoint):
    assert config_of(with_json(tiny_llama, memory_checkpoint, architectures="absent")).family == "llama"


def test_a_missing_tensor_is_named_with_its_shape(tiny_llama):
    del tiny_llama.tensors["model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(
        CheckpointError, match=r"model\.layers\.1\.mlp\.up_proj\.weight is missing, expected \(64, 32\)"
    ):
        build(tiny_llama)


@pytest.mark.parametrize("shape", [(32, 64), (64, 31), (64,), (64, 32, 1), ()])
def test_a_misshaped_tensor_is_named_with_both_shapes(tiny_llama, memory_checkpoint, shape):
    arrays = tiny_llama.arrays | {"model.layers.0.mlp.gate_proj.weight": np.zeros(shape, np.float32)}
    with pytest.raises(CheckpointError) as failure:
        build(memory_checkpoint("hf", tiny_llama.metadata, arrays))
    found = "(" + ", ".join(map(str, shape)) + ")"
    assert f"gate_proj.weight has shape {found}, expected (64, 32)" in failure.value.message


def test_a_tensor_left_over_is_refused_unless_it_is_known_to_be_idle(tiny_llama, memory_checkpoint):
    bias = {"model.layers.0.self_attn.q_proj.bias": np.zeros(32, np.float32)}
    with pytest.raises(UnsupportedError, match=r"q_proj\.bias does not belong to the llama family"):
        build(memory_checkpoint("hf", tiny_llama.metadata, tiny_llama.arrays | bias))
    idle = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(4, np.float32)}
    assert build(memory_checkpoint("hf", tiny_llama.metadata, tiny_llama.arrays | idle)).parameters > 0


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("hidden_size", -32, "hidden_size is -32"),
        ("hidden_size", "32", "hidden_size is the text '32'"),
        ("hidden_size", 1 << 60, "hidden_size"),
        ("hidden_size", True, "hidden_size is True"),
        ("hidden_size", "absent", "hidden_size is missing"),
        ("num_hidden_layers", 0, "num_hidden_layers is 0"),
        ("num_hidden_layers", 10**9, "num_hidden_layers"),
        ("num_attention_heads", 5, "num_attention_heads is 5, which does not divide 32"),
        ("num_key_value_heads", 3, "4 heads do not divide by 3 kv heads"),
        ("vocab_size", 0, "vocab_size is 0"),
        ("rms_norm_eps", float("nan"), "rms_norm_eps is nan"),
        ("rms_norm_eps", 7.0, "rms_norm_eps is 7"),
        ("rope_theta", 0.0, "rope theta is 0"),
        ("rope_theta", float("inf"), "rope_theta is inf"),
        ("rope_scaling", {"type": "dynamic", "factor": 2.0}, "rope scaling 'dynamic' is not supported"),
        ("rope_scaling", {"type": "linear"}, "factor is missing"),
        ("rope_scaling", {"type": "linear", "factor": 0}, "rope scaling factor is 0"),
        ("rope_scaling", [1], "rope_scaling is something else, expected an object"),
        ("hidden_act", "relu6", "activation 'relu6' is not supported"),
        ("tie_word_embeddings", "yes", "tie_word_embeddings is yes, expected true or false"),
        ("head_dim", 7, "must be even"),
    ],
)
def test_absurd_configurations_are_refused_by_key(tiny_llama, memory_checkpoint, key, value, named):
    with pytest.raises(UndicedError) as failure:
        build(with_json(tiny_llama, memory_checkpoint, **{key: value}))
    assert named in failure.value.message
    assert failure.value.status == 400 and failure.value.remedy


def test_layer_types_must_be_known(tiny_llama, memory_checkpoint):
    changes = {"architectures": ["MistralForCausalLM"], "sliding_window": 4}
    types = ["sliding_attention", "full_attention"]
    config = config_of(with_json(tiny_llama, memory_checkpoint, **changes, layer_types=types))
    assert config.windows == (4, 0) and config.window(0) == 4 and config.window(1) == 0
    with pytest.raises(UnsupportedError, match="layers of type 'linear_attention'"):
        config_of(with_json(tiny_llama, memory_checkpoint, **changes, layer_types=["linear_attention"] * 2))
    with pytest.raises(CheckpointError, match="list of 2 values"):
        config_of(with_json(tiny_llama, memory_checkpoint, **changes, layer_types=types[:1]))


def test_mistral_windows_default_only_when_unstated(tiny_llama, memory_checkpoint):
    changes = {"architectures": ["MistralForCausalLM"]}
    assert config_of(with_json(tiny_llama, memory_checkpoint, **changes)).windows == (4096, 4096)
    assert config_of(with_json(tiny_llama, memory_checkpoint, **changes, sliding_window=None)).windows == ()


def test_the_text_part_of_a_larger_configuration_is_found():
    inner = {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34, "intermediate_size": 10240}
    config = config_from_json({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": inner}, "g")
    assert (config.family, config.name, config.layers, config.vocab) == ("gemma3", "g", 34, 262208)
    assert [i for i, w in enumerate(config.windows) if w == 0] == [5, 11, 17, 23, 29]
    with pytest.raises(UnsupportedError, match="'ministral3'"):
        config_from_json({"model_type": "mistral3", "text_config": {"model_type": "ministral3"}}, "m")


def test_registry_names_are_unique():
    names = [name for family in FAMILIES.values() for name in family.hf]
    assert len(names) == len(set(names))
    assert {"llama", "mistral", "qwen2", "qwen3", "gemma3", "gpt2"} <= set(FAMILIES)
