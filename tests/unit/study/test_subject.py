"""Which model is meant: names in any spelling, files of known families alone, and what a file leaves out is told."""

import json

import pytest

from undiced.checkpoint import CATALOG
from undiced.core.errors import CheckpointError, ModelNotFoundError, UnsupportedError
from undiced.core.naming import same
from undiced.model import PRESETS
from undiced.study.subject import subject

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 128, "vocab_size": 100,
}  # fmt: skip


def written(folder, **config):
    folder.mkdir(exist_ok=True)
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    return file


@pytest.mark.parametrize("kind", ["bert", "mamba", "stablelm"])
def test_a_family_that_is_not_known_is_refused_from_file_and_folder_alike(kind, tmp_path):
    file = written(tmp_path / "other", **LLAMA | {"model_type": kind})
    for model in (file, file.parent):
        with pytest.raises(UnsupportedError, match=f"other: the architecture '{kind}' is not supported") as caught:
            subject(model)
        assert "llama" in caught.value.remedy


def test_sizes_that_a_file_does_not_state_are_told(tmp_path):
    found = subject(written(tmp_path / "mine", **LLAMA))
    assert (found.config.name, found.config.family) == ("mine", "llama")
    assert found.assumed == {
        "head_dim": 16, "max_position_embeddings": 2048, "num_key_value_heads": 4, "tie_word_embeddings": False,
    }  # fmt: skip
    stated = LLAMA | found.assumed
    assert subject(written(tmp_path / "mine", **stated)).assumed == {}


def test_a_size_without_a_default_is_never_made_up(tmp_path):
    with pytest.raises(CheckpointError, match="intermediate_size is missing"):
        subject(written(tmp_path / "mine", **{k: v for k, v in LLAMA.items() if k != "intermediate_size"}))


def test_catalog_and_configurations_share_one_name_space():
    for name in CATALOG:
        assert subject(name).config.name in PRESETS
    assert subject("Llama 3.1 8B").config.name == "llama-3.1-8b"
    assert {same(name, PRESETS) for name in PRESETS} == set(PRESETS), "no two differ in spelling alone"
    assert same("gemma-3-270m", CATALOG) == "gemma3-270m"
    assert same("./gemma3-270m", CATALOG) is None and same("", CATALOG) is None
    with pytest.raises(ModelNotFoundError, match="Did you mean"):
        subject("llama-3.3-71b")
