"""The Codex CLI against the real HTTP server with scripted tokens: it edits a file, goes on after the result, and asks
for an answer by a schema. It is fetched from npm once; no model said what the script says.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fetched import npm_program
from live import scripted
from scripted_families import AGENT, KNOWN
from support.markdown import ROOT, blocks

pytestmark = [pytest.mark.wire, pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = ROOT / "docs" / "api.md"


@pytest.fixture(scope="module")
def codex() -> Path:
    """The program; fetched once."""
    return npm_program("@openai/codex", "codex")


class Desk:
    """A folder in which Codex works, configured as the page says."""

    def __init__(self, program: Path, folder: Path, url: str, model: str) -> None:
        self.program, self.home, self.work = program, folder / "home", folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        [block] = [block for block in blocks(PAGE) if 'model = "MODEL"' in block.text]
        text = block.text.replace("MODEL", model).replace("http://127.0.0.1:8000", url)
        (self.home / "config.toml").write_text(text)

    def run(self, prompt: str, *options: str) -> tuple[int, list[dict]]:
        """Ask once; returns the exit status and Codex's events."""
        command = [str(self.program), "exec", "--json", "--skip-git-repo-check", "--ephemeral", *options]
        command += ["--dangerously-bypass-approvals-and-sandbox", prompt]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "CODEX_HOME": str(self.home)}
        done = subprocess.run(
            command, cwd=self.work, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert events, done.stderr[-1000:]
        return done.returncode, events


@pytest.fixture
def desk(codex: Path, tmp_path: Path) -> Iterator[Callable[[str], Desk]]:
    """Makes a desk for a model of that name."""
    with scripted() as server:
        yield lambda model: Desk(codex, tmp_path, server.url, model)


def items(events: list[dict]) -> list[dict]:
    return [event["item"] for event in events if event["type"] == "item.completed"]


def test_codex_edits_a_file_and_tells_what_came_of_it(desk: Callable[[str], Desk]) -> None:
    at = desk(AGENT)
    (at.work / "note.txt").write_text("one\n")
    status, events = at.run("Write two into note.txt")
    found = items(events)
    assert status == 0, events
    assert (at.work / "note.txt").read_text() == "two\n"
    assert [item["message"][:14] for item in found if item["type"] == "error"] == ["Model metadata"]  # it says once
    kinds = [item["type"] for item in found if item["type"] not in ("error", "reasoning")]
    assert kinds == ["agent_message", "command_execution", "agent_message"], found
    assert (found[-3]["text"], found[-1]["text"]) == ("I write it.", "Done: two")
    [usage] = [event["usage"] for event in events if event["type"] == "turn.completed"]
    assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0
    assert {event["type"] for event in events}.isdisjoint({"error", "turn.failed"})


def test_codex_holds_the_last_answer_to_a_schema(desk: Callable[[str], Desk], tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({**schema, "additionalProperties": False}))
    status, events = desk(AGENT).run("Answer in JSON", "--output-schema", str(path))
    assert status == 0 and json.loads(items(events)[-1]["text"]) == {"a": 1}


def test_codex_runs_the_input_of_a_custom_tool_for_a_model_that_it_knows(desk: Callable[[str], Desk]) -> None:
    """It sends no tools then, but an item with namespaces of them, and expects a call by its own name."""
    at = desk(KNOWN)
    status, events = at.run("Run it")
    assert status == 0 and (at.work / "note.txt").read_text() == "two\n", events
    assert items(events)[-1]["text"] == "Done: two"
