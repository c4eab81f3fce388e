"""`litellm`, unchanged and in an environment of its own, by the providers whose names fit this server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fetched import alone, python_programs
from live import Server, scripted
from scripted_families import AGENT
from support.clients_page import PAGE
from support.markdown import blocks

pytestmark = [pytest.mark.wire, pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(1800)]
CALLS = Path(__file__).with_name("litellm_calls.py")


@pytest.fixture(scope="module")
def agent() -> Iterator[Server]:
    with scripted() as server:
        yield server


def run(home: Path, *words: str) -> str:
    """What its Python prints."""
    done = subprocess.run(
        [str(python_programs("litellm") / "python"), *words], cwd=home, capture_output=True, text=True, check=False,
        env=alone(home, LITELLM_LOCAL_MODEL_COST_MAP="True"), timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("provider", ["openai", "cerebras", "hosted_vllm"])
def test_answers_whole_and_streamed_with_tools_and_documents(
    provider: str, server: Server, agent: Server, tmp_path: Path
) -> None:
    said = run(tmp_path, str(CALLS), server.v1, server.model, agent.v1, AGENT, provider)
    found = json.loads(said.splitlines()[-1])
    for name in ("plain", "document", "call"):
        whole, streamed = found[name]
        assert whole == streamed and whole["tokens"][1] > 1, name
    assert found["plain"][0]["content"] and found["plain"][0]["reason"] == "stop"
    assert json.loads(found["document"][0]["content"])["n"] in (1, 2)
    call = found["call"][0]
    weather = [["weather", {"city": "Paris", "days": 2}]]
    assert call["calls"] == weather and call["reason"] == "tool_calls"
    assert found["elsewhere"] == {"responses": weather, "messages": [weather, weather]}
    assert (call["content"], call["thought"]) == ("I look.", "A tool knows.")
    assert found["after"]["content"] == "It is plain."
    assert found["too long"][0] == "ContextWindowExceededError"
    assert found["unknown"][0] == "NotFoundError"


def test_the_program_of_the_page_runs(server: Server, tmp_path: Path) -> None:
    [program] = [block for block in blocks(PAGE) if block.text.startswith("import litellm")]
    assert run(tmp_path, "-c", program.text.replace("http://127.0.0.1:8000", server.url)).strip()
