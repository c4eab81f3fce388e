"""Hostile metadata: any value under any key gives a graph or one of our errors, and quickly; never anything else."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from undiced.checkpoint import TensorInfo
from undiced.core.errors import UndicedError, UnsupportedError
from undiced.model import build, build_config, config_from_json

GOLDEN = Path(__file__).parents[2] / "golden" / "model"
CASES = {path.stem: json.loads(path.read_text())["config"] for path in sorted(GOLDEN.glob("*.json"))}
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.integers(-2, 300) | st.floats() | st.text(max_size=8)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=8), SCALARS, max_size=3)


class Hollow:
    """A checkpoint that claims tensors it does not have; nothing may read them while a graph is built."""

    kind, path, digest, unread = "gguf", Path("hollow"), "0" * 64, {}

    def __init__(self, metadata, shapes):
        self.name, self.metadata = "hollow", metadata
        self.tensors = {n: TensorInfo(n, s, "F32", 0, 0) for n, s in shapes.items()}

    def raw(self, name):
        raise AssertionError("no tensor may be read")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.data())
def test_any_config_json(name, data):
    config = copy.deepcopy(CASES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        config[data.draw(st.sampled_from(sorted(config)))] = data.draw(VALUES)
    try:
        model = config_from_json(config, name)
        if model.layers <= 16 and (model.moe is None or model.moe.experts <= 64):
            build_config(model).dump()
    except UndicedError as error:
        assert error.status == 400 and error.message


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_gguf_keys(data):
    architecture = data.draw(st.sampled_from(["llama", "qwen2", "qwen3", "gemma3", "gpt2", "qwen3moe", "gpt-oss"]))
    keys = {
        "block_count": 2,
        "context_length": 64,
        "embedding_length": 32,
        "feed_forward_length": 64,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 8,
        "attention.value_length": 8,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.sliding_window": 8,
        "rope.freq_base": 1e4,
        "rope.dimension_count": 8,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 16,
        "expert_count": 4,
        "expert_used_count": 2,
    }
    for _ in range(data.draw(st.integers(0, 4))):
        keys[data.draw(st.sampled_from(sorted(keys)))] = data.draw(VALUES)
    metadata = {"general.architecture": architecture} | {f"{architecture}.{k}": v for k, v in keys.items()}
    shape = data.draw(st.lists(st.integers(0, 1 << 40), max_size=4).map(tuple) | st.just((50, 32)))
    with pytest.raises(UndicedError) as failure:
        build(Hollow(metadata, {"token_embd.weight": shape}))
    assert failure.value.status == 400


def hollow_case(name, formats):
    """A golden case without bytes, its matrices in the formats that `formats` gives by tensor name."""
    case = json.loads((GOLDEN / f"{name}.json").read_text())
    checkpoint = Hollow(case["config"], {tensor: tuple(shape) for tensor, shape in case["tensors"].items()})
    checkpoint.kind = "hf"
    for tensor, info in checkpoint.tensors.items():
        checkpoint.tensors[tensor] = replace(info, format=formats(tensor))
    return checkpoint


def test_quantized_tensors_are_never_transposed():
    assert build(hollow_case("gpt2", lambda tensor: "BF16")).slot("layers.0.attn.q").format == "BF16"
    with pytest.raises(
        UnsupportedError, match=r"h\.0\.attn\.c_attn\.weight is stored as Q8_0, which cannot be transposed"
    ):
        build(hollow_case("gpt2", lambda tensor: "Q8_0" if "c_attn.weight" in tensor else "F32"))


def test_experts_of_a_layer_share_a_format():
    assert build(hollow_case("mixtral", lambda tensor: "F16")).slot("layers.0.moe.gate").format == "F16"
    with pytest.raises(UnsupportedError, match="belong together but have different formats"):
        build(hollow_case("mixtral", lambda tensor: "F16" if "experts.2." in tensor else "F32"))
