"""A model of the hub, served by its name."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest
from folders import make_folder
from support.hub import Repository, running_hub

FIELDS = {"max_tokens": 8, "temperature": 0, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.slow  # unit tests fetch; that a server starts on it takes seconds
def test_a_model_of_the_hub_is_served_by_its_name(tmp_path: Path, start, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "made")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with running_hub() as hub:
        hub.repositories["acme/tiny"] = Repository({path.name: path.read_bytes() for path in folder.iterdir()})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with (
            start("--max-batch", "2", model="acme/tiny") as server,
            openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client,
        ):
            assert len(hub.brought()) == len(list(folder.iterdir()))
            assert client.models.list().data[0].id == "tiny"
            answer = client.chat.completions.create(model="acme/tiny", **FIELDS)
            assert answer.usage is not None and answer.usage.completion_tokens > 0
