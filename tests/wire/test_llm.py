"""The `llm` command, unchanged: its own way to ask other servers, and its plugin `llm-cerebras`, as the page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Server, scripted
from scripted_families import AGENT
from support.clients_page import PAGE
from support.markdown import blocks

pytestmark = [pytest.mark.wire, pytest.mark.model]
SCHEMA = {
    "type": "object",
    "properties": {"age": {"enum": [1, 22, 333]}},
    "required": ["age"],
    "additionalProperties": False,
}
SURE = ("-o", "temperature", "0", "-o", "max_tokens", "60")


class Desk:
    """A user's folder and program, made of the page's blocks."""

    def __init__(self, folder: Path, server: Server, model: str) -> None:
        self.folder = folder
        [models] = [block for block in blocks(PAGE) if block.text.startswith("- model_id: undiced")]
        [program] = [block for block in blocks(PAGE) if block.text.startswith("from llm_cerebras")]
        names = {"http://127.0.0.1:8000": server.url, "model_name: MODEL": f"model_name: {model}"}
        for name, block in (("extra-openai-models.yaml", models), ("llm_here.py", program)):
            text = block.text
            for old, new in names.items():
                text = text.replace(old, new)
            (folder / name).write_text(text)
        (folder / "keys.json").write_text(json.dumps({"openai": "word", "cerebras": "word"}))

    def run(self, *words: str) -> tuple[str, str]:
        """What the command prints, and what it says beside."""
        environment = {**os.environ, "LLM_USER_PATH": str(self.folder), "CEREBRAS_API_KEY": "word"}
        done = subprocess.run(
            [sys.executable, str(self.folder / "llm_here.py"), *words], cwd=self.folder, env=environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), done.stderr


@pytest.fixture
def desk(server: Server, tmp_path: Path) -> Desk:
    return Desk(tmp_path, server, server.model)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Desk]:
    with scripted() as server:
        yield Desk(tmp_path, server, AGENT)


@pytest.mark.slow
def test_a_schema_is_held_to_and_tokens_are_counted(desk: Desk) -> None:
    said, beside = desk.run("-m", "undiced", "A cat", "--schema", json.dumps(SCHEMA), "--usage")
    assert json.loads(said)["age"] in (1, 22, 333) and "output" in beside


def test_tools_from_functions_are_run(agent: Desk) -> None:
    function = 'def weather(city: str, days: int = 1) -> str:\n    return "plain"'
    said, beside = agent.run("-m", "undiced", "What is the weather in Paris?", "--functions", function, "--td")
    assert said == "I look. It is plain."
    assert "Tool call: weather({'city': 'Paris', 'days': 2})" in beside


def test_the_plugin_finds_the_model_and_streams(desk: Desk, server: Server) -> None:
    said, _ = desk.run("-m", f"cerebras-{server.model}", "Name three animals.", *SURE)
    assert "cat" in said


@pytest.mark.slow
def test_whole_and_streamed_answers_are_alike(desk: Desk, server: Server) -> None:
    for model in ("undiced", f"cerebras-{server.model}"):
        ask = ("-m", model, "Name three animals.", *SURE)
        assert desk.run(*ask) == desk.run(*ask, "--no-stream")
    assert server.model in desk.run("cerebras", "refresh")[0]


@pytest.mark.slow
@pytest.mark.parametrize("further", [[], ["--no-stream"]], ids=str)
def test_the_plugin_asks_for_json_and_tells_the_schema(desk: Desk, server: Server, further: list[str]) -> None:
    """It holds nothing to the schema but the check at the end: the form that it asks for is any object."""
    said, _ = desk.run("-m", f"cerebras-{server.model}", "A dog", "--schema", "name, age int", *SURE, *further)
    assert isinstance(json.loads(said), dict)


@pytest.mark.slow
def test_tools_are_run_without_a_stream_too(agent: Desk) -> None:
    function = 'def weather(city: str, days: int = 1) -> str:\n    return "plain"'
    ask = ("-m", "undiced", "What is the weather in Paris?", "--no-stream")
    assert agent.run(*ask, "--functions", function)[0] == "I look. It is plain."
