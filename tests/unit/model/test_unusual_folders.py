"""Folders as they are found: what is left out, what is known under other names, and what is said of what lacks."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from support import tiny_models

from undiced.checkpoint import open_checkpoint
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.model import build
from undiced.model.weights import load_weights

ONES = np.ones(4, np.float32)
EXTRA = (
    "model.layers.0.self_attn.rotary_emb.inv_freq",
    "model.rotary_emb.inv_freq",
    "mtp.layers.0.input_layernorm.weight",
    "model.mtp_layers.0.input_layernorm.weight",
)


def folder(tmp_path, tensors, **config):
    case = tiny_models.load_case("llama")
    (tmp_path / "config.json").write_text(json.dumps(case["config"] | config))
    save_file(tensors, tmp_path / "model.safetensors")
    return open_checkpoint(tmp_path)


def weights():
    return tiny_models.weights_of(tiny_models.load_case("llama"))


@pytest.mark.parametrize("name", EXTRA)
def test_what_no_token_needs_is_left_out(tmp_path, name):
    assert build(folder(tmp_path, weights() | {name: ONES})).digest == build(folder(tmp_path, weights())).digest


def test_another_head_is_refused_by_its_name(tmp_path):
    with pytest.raises(UnsupportedError, match=r"tensor v_head\.summary\.weight does not belong"):
        build(folder(tmp_path, weights() | {"v_head.summary.weight": ONES}))


def test_a_model_that_was_saved_without_its_head(tmp_path):
    bare = {name.removeprefix("model."): array for name, array in weights().items() if not name.startswith("lm_head")}
    checkpoint = folder(tmp_path, bare, tie_word_embeddings=True)
    found = load_weights(build(checkpoint), checkpoint)
    assert np.array_equal(found["embed"], bare["embed_tokens.weight"])
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is missing") as caught:
        build(folder(tmp_path, bare, tie_word_embeddings=False))
    assert "tie_word_embeddings" in caught.value.remedy


def test_numbers_of_eight_bits_that_nothing_explains(tmp_path):
    """No quantization is stated: what the numbers are worth is unknown."""
    tensors = weights()
    name = "model.layers.0.self_attn.q_proj.weight"
    codes = np.zeros(tensors[name].shape, np.uint8)
    with pytest.raises(UnsupportedError, match=r"q_proj\.weight has the dtype U8"):
        build(folder(tmp_path, tensors | {name: codes}))
