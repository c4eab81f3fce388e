"""Files of a model folder that can't be read, and such as are damaged: each is named, with the remedy that helps."""

from __future__ import annotations

import json
import os
from pathlib import Path

import folders
import pytest
from typer.testing import CliRunner

from undiced import LLM
from undiced.cli.app import app
from undiced.core.errors import CheckpointError

OPEN = os.open
SHARD = "model-00001-of-00002.safetensors"
FILES = [
    "config.json", "generation_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
    "model.safetensors.index.json", SHARD,
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = folders.make_folder(tmp_path / "model")
    (made / "generation_config.json").write_text(json.dumps({"temperature": 0.6}))
    (made / "special_tokens_map.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    return made


def remedy_of(folder: Path, name: str) -> str:
    with pytest.raises(CheckpointError) as refused:
        LLM(folder, threads=1, max_context=64).close()
    assert name in refused.value.message
    return refused.value.remedy


@pytest.mark.parametrize("name", [*FILES, "chat_template.jinja"])
def test_a_file_that_may_not_be_read_needs_permission(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str | Path, *rest: int, **more: int) -> int:
        if str(path).endswith(f"/{name}"):
            raise PermissionError(13, "Permission denied", str(path))
        return OPEN(path, *rest, **more)

    (folder / "chat_template.jinja").write_text(folders.TEMPLATE)
    monkeypatch.setattr(os, "open", denied)
    assert remedy_of(folder, name) == "Let this user read the file and its folder."


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_fetched_again(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    remedy = remedy_of(folder, name).lower()
    assert "again" in remedy and ("fetch" in remedy or "download" in remedy)


def test_a_template_that_cannot_be_used_is_not_passed_over_in_silence(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages")
    asked = ["generate", str(folder), "-p", "Hi", "-n", "2"]
    told = CliRunner().invoke(app, asked).stderr
    assert "Continued, not answered. The chat template has wrong syntax" in told and "Put the publisher's" in told
    assert "template" not in CliRunner().invoke(app, [*asked, "--raw"]).stderr
