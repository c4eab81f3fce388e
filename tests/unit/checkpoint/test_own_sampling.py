"""A model's own sampling numbers: read where files have them, checked, and the catalog's where a file has none."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from safetensors_writer import safetensors, small, write_folder
from support.gguf_writer import F32, I32, Gguf

from undiced.checkpoint import CATALOG, GgufCheckpoint, HfCheckpoint, own_sampling
from undiced.core.errors import CheckpointError

NUMBERS = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0, "repetition_penalty": 1.05}


def folder(path: Path, generation: object) -> HfCheckpoint:
    path.mkdir(exist_ok=True)
    return HfCheckpoint(
        write_folder(path / "m", model__safetensors=safetensors(small()), generation_config__json=generation)
    )


def gguf(path: Path, *fields: tuple[str, int, object], name: str | None = None) -> GgufCheckpoint:
    path.write_bytes(Gguf(fields=list(fields)).bytes())
    return GgufCheckpoint(path, name=name)


def test_a_folders_generation_config_is_read(tmp_path: Path) -> None:
    found = own_sampling(folder(tmp_path, {**NUMBERS, "do_sample": True, "eos_token_id": 2, "max_new_tokens": 9}))
    assert found == NUMBERS and type(found["top_k"]) is int
    assert own_sampling(folder(tmp_path / "none", {"eos_token_id": 2, "temperature": None})) == {}


def test_a_files_keys_are_read_and_rounded_to_what_was_meant(tmp_path: Path) -> None:
    keys = {"temp": 0.6, "top_p": 0.95, "min_p": 0.0, "penalty_repeat": 1.05}
    fields = [(f"general.sampling.{key}", F32, number) for key, number in keys.items()]
    found = own_sampling(gguf(tmp_path / "m.gguf", *fields, ("general.sampling.top_k", I32, 20)))
    assert found == NUMBERS, "not 0.949999988"


@pytest.mark.parametrize("wrong", [-1, 3, "0.7", True, float("nan"), [0.7]])
def test_a_number_that_no_client_might_send_is_left_out_and_told(tmp_path: Path, wrong: object, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        assert own_sampling(folder(tmp_path, {"temperature": wrong, "top_p": 0.5})) == {"top_p": 0.5}
    assert "temperature is" in caplog.text


def test_a_damaged_generation_config_is_told(tmp_path: Path) -> None:
    checkpoint = folder(tmp_path, {})
    (checkpoint.path / "generation_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"generation_config\.json is not valid JSON"):
        own_sampling(checkpoint)


def test_the_catalog_speaks_for_its_own_file_where_that_has_no_numbers(tmp_path: Path) -> None:
    packaged = CATALOG["smollm2-135m"]
    assert own_sampling(gguf(tmp_path / packaged.file, name=packaged.name)) == packaged.sampling
    assert own_sampling(gguf(tmp_path / "other.gguf", name=packaged.name)) == {}
    said = gguf(tmp_path / packaged.file, ("general.sampling.temp", F32, 0.5), name=packaged.name)
    assert own_sampling(said) == {"temperature": 0.5}
