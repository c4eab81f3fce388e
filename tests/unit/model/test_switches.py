"""What a family of its own reads besides the common keys: switches, their defaults, and those that are refused by name."""

import numpy as np
import pytest

from undiced.core.errors import UnsupportedError
from undiced.model import config_from_json, config_of

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
