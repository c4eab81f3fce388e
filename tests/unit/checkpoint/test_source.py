"""References: catalog names, files, folders, and what is said about everything else."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from safetensors_writer import safetensors, small, write_folder
from support import gguf_writer
from wheels import tiny_model

from undiced.checkpoint import catalog, open_checkpoint, resolve
from undiced.core.errors import CheckpointError, FetchError, ModelNotFoundError, UnsupportedError


def test_files_and_folders_open(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(gguf_writer.small().bytes())
    assert open_checkpoint(tmp_path / "m.gguf").kind == "gguf"
    assert open_checkpoint(str(tmp_path / "m.gguf")).kind == "gguf"
    folder = write_folder(tmp_path / "hf", model__safetensors=safetensors(small()))
    assert open_checkpoint(folder).kind == "hf"


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m.gguf").touch()
    assert resolve("~/m.gguf") == tmp_path / "m.gguf"


def test_catalog_names_come_first_and_in_any_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDICED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(catalog.CATALOG, "tiny", tiny_model())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").touch()
    with pytest.raises(FetchError, match="tiny is not in the cache"):
        resolve("Tiny", offline=True)
    assert resolve("./tiny", offline=True) == Path("tiny")
    assert resolve(Path("tiny"), offline=True) == Path("tiny")


def test_near_misses_are_suggested() -> None:
    with pytest.raises(ModelNotFoundError, match="Did you mean smollm2-135m") as caught:
        open_checkpoint("SmolLM2-135")
    assert "gemma3-270m" in caught.value.remedy


@pytest.mark.parametrize("ref", ["", "x" * 100_000, "a\0b", "~nobody-of-that-name/x", "/no/such/file.gguf", "\ud800"])
def test_anything_else_is_not_found(ref: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        open_checkpoint(ref, offline=True)
    assert len(str(caught.value)) < 600
    str(caught.value).encode()


def test_wrong_kinds_of_file_say_what_to_name_instead(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(UnsupportedError, match="pickled"):
        open_checkpoint(tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").write_bytes(safetensors(small()))
    with pytest.raises(CheckpointError, match="without a configuration"):
        open_checkpoint(tmp_path / "model.safetensors")
    (tmp_path / "notes.txt").write_text("A text of more than twenty-four bytes.")
    with pytest.raises(CheckpointError, match="not a GGUF file"):
        open_checkpoint(tmp_path / "notes.txt")


@pytest.mark.model
def test_the_default_model_opens_in_milliseconds() -> None:
    """12 ms on Zen 3; the bound only catches a reader that decodes the vocabulary when it opens."""
    open_checkpoint(catalog.DEFAULT_MODEL).close()
    times = []
    for _ in range(5):
        begun = time.process_time()
        checkpoint = open_checkpoint(catalog.DEFAULT_MODEL, offline=True)
        times.append(time.process_time() - begun)
    assert min(times) < 0.06
    assert checkpoint.name == "smollm2-135m"
    assert checkpoint.tensors["token_embd.weight"].shape == (49152, 576)
    tokens = checkpoint.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list) and len(tokens) == 49152


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is platformdirs' own elsewhere")
@pytest.mark.parametrize("set_to", [None, "", "/somewhere/else"])
def test_the_cache_lies_where_platformdirs_has_it(monkeypatch: pytest.MonkeyPatch, set_to: str | None) -> None:
    from platformdirs import user_cache_dir

    from undiced.checkpoint import cache_dir

    monkeypatch.delenv("UNDICED_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if set_to is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", set_to)
    assert str(cache_dir()) == user_cache_dir("undiced", appauthor=False)
